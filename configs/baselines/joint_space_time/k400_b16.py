# CLIP's blocks on the tokens of all frames at once, with STAN's recipe.
_base_ = '../divided_space_time/k400_b16.py'

model = dict(backbone=dict(type='mmstan.JointSpaceTime'))
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'backbone\.time_embedding', lr_mult=10),
        ]
    )
)
