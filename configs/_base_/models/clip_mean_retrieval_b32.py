# CLIP ViT-B/32 on each frame and on the caption; the cosine of caption and mean frame.
_base_ = './clip_images.py'

model = dict(
    type='mmstan.VideoTextModel',
    backbone=dict(
        type='mmstan.FrameEncoder',
        tower=dict(type='mmstan.ImageTower', model='ViT-B-32', pretrained='openai'),
    ),
    text_tower=dict(type='mmstan.TextTower', model='ViT-B-32', pretrained='openai'),
    text_length=32,
    head=dict(
        type='mmstan.RetrievalHead',
        interaction=dict(type='mmstan.Cosine', frames='raw'),
        scale=100.0,  # temperature 0.01
    ),
)
