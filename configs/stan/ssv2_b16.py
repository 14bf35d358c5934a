_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/datasets/ssv2.py',
    '../_base_/schedules/recognition.py',
]

model = dict(
    type='Recognizer3D',
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[122.771, 116.746, 104.093],
        std=[68.500, 66.632, 70.323],
        format_shape='NCTHW',
    ),
    backbone=dict(
        type='mmstan.STAN',
        tower=dict(type='mmstan.ImageTower', model='ViT-B-16', pretrained='openai'),
        levels=(7, 8, 9, 10, 11, 12),  # K = 6 on Something-Something (STAN, Fig. 3)
    ),
    neck=dict(type='mmstan.MeanPool'),
    cls_head=dict(
        type='mmstan.TextHead',
        class_names=_base_.class_names,
        text_tower=dict(
            type='mmstan.TextTower', model='ViT-B-16', pretrained='openai', frozen=True
        ),
    ),
)
# The branch learns ten times faster; norms, biases and embeddings do not decay.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.'),
            dict(match=r'backbone\.branches\.', lr_mult=10),
        ]
    )
)
