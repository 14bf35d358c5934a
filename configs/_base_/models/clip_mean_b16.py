# CLIP ViT-B/16 on each frame, averaged, classified by the names of the classes.
_base_ = './clip_images.py'

model = dict(
    type='Recognizer3D',
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
