# CLIP4Clip's patches over three frames, for recognition with STAN's recipe.
_base_ = '../clip_mean/k400_b16.py'

model = dict(backbone=dict(type='mmstan.TubePatches'))
# As STAN's branch, what is new learns ten times faster.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'backbone\.(before|after)\.', lr_mult=10),
        ]
    )
)
