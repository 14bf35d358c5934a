# Attention over time before that of each frame in CLIP's blocks, with STAN's recipe.
_base_ = [
    '../../_base_/retrieval_runtime.py',
    '../../_base_/models/clip_mean_retrieval_b32.py',
    '../../_base_/datasets/msrvtt.py',
    '../../_base_/schedules/retrieval.py',
]

model = dict(backbone=dict(type='mmstan.DividedSpaceTime', num_frames=12, drop_path=0.1))
# As STAN's branch, what is new learns ten times faster.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.|text_tower\.'),
            dict(match=r'backbone\.(time_embedding|temporal\.)', lr_mult=10),
        ]
    )
)
