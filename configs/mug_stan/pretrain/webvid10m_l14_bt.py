# Mug-STAN's data, frames and schedule with BT-Adapter's way to a branch for video chat
# (docs/chat.md): a frozen tower, a class token of its own and gates, 70 % of the patches hidden
# from the branch, the distance between both, and its rates: 2e-6, the branch's x10, of its
# cross-frame modules and gates x100. Not in Mug-STAN's paper, and run here in its tiny form alone.
_base_ = './webvid10m_l14.py'

model = dict(
    type='mmstan.BTAdapterModel',
    backbone=dict(tower=dict(frozen=True), class_token='own', gates=True),
    micro_batch=None,
)
branch = r'backbone\.branches\.\d+\.'
optim_wrapper = dict(
    # The gates' gradients have their factor of 10,000: they would be all of the norm that is cut.
    clip_grad=None,
    optimizer=dict(lr=2e-6, weight_decay=0.05),
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.', frozen=True),
            dict(match=r'text_tower\.'),
            dict(match=branch + r'(?!.*cross_frame|.*gate)', lr_mult=10),
            dict(match=branch + r'(.*cross_frame|.*gate)', lr_mult=100),
            dict(match=r'branch_projection\.', lr_mult=10),
        ]
    ),
)
