# CLIP's blocks on the tokens of all frames at once, with STAN's recipe.
_base_ = '../clip_mean/k400_b16.py'

model = dict(backbone=dict(type='mmstan.JointSpaceTime', num_frames=8, drop_path=0.1))
# As STAN's branch, what is new learns ten times faster.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'backbone\.time_embedding', lr_mult=10),
        ]
    )
)
