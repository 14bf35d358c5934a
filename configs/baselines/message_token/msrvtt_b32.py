# Message tokens alone with STAN's recipe: X-CLIP's cross-frame communication, and the mean of the
# frames (STAN, Table 7).
_base_ = [
    '../../_base_/retrieval_runtime.py',
    '../../_base_/models/clip_mean_retrieval_b32.py',
    '../../_base_/datasets/msrvtt.py',
    '../../_base_/schedules/retrieval.py',
]

model = dict(backbone=dict(type='mmstan.XCLIP', context=False))
# As STAN's branch, the messages learn ten times faster.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.|text_tower\.'),
            dict(match=r'backbone\.messages\.', lr_mult=10),
        ]
    )
)
