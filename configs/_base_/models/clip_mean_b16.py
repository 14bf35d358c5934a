# CLIP ViT-B/16 on each frame, averaged, classified by the names of the classes.
model = dict(
    type='Recognizer3D',
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[122.771, 116.746, 104.093],
        std=[68.500, 66.632, 70.323],
        format_shape='NCTHW',
    ),
    backbone=dict(
        type='mmstan.FrameEncoder',
        tower=dict(type='mmstan.ImageTower', model='ViT-B-16', pretrained='openai'),
    ),
    neck=dict(type='mmstan.MeanPool'),
    cls_head=dict(
        type='mmstan.TextHead',
        text_tower=dict(
            type='mmstan.TextTower', model='ViT-B-16', pretrained='openai', frozen=True
        ),
    ),
)
