# X-CLIP, supplement, Table 2, "CLIP-Joint": CLIP's blocks on the tokens of all frames at once, with
# X-CLIP's recipe; one view.
_base_ = './k400_b16_clip_mean.py'

model = dict(backbone=dict(type='mmstan.JointSpaceTime', num_frames=8))
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'backbone\.time_embedding', lr_mult=10),
        ]
    )
)
