# X-CLIP: messages between the frames, their integration, class names prompted by the video.
_base_ = './imagenet_pixels.py'

model = dict(
    type='Recognizer3D',
    # ImageNet's mean and deviation, as released, and not CLIP's.
    data_preprocessor=dict(
        type='ActionDataPreprocessor', **_base_.imagenet_pixels, format_shape='NCTHW'
    ),
    backbone=dict(
        type='mmstan.XCLIP',
        tower=dict(type='mmstan.ImageTower', model='ViT-B-16', pretrained='openai'),
    ),
    neck=dict(type='mmstan.MultiFrameIntegration', width=512, num_frames=8, heads=8),
    cls_head=dict(
        type='mmstan.PromptedTextHead',
        text_tower=dict(
            type='mmstan.TextTower', model='ViT-B-16', pretrained='openai', frozen=True
        ),
        label_smooth_eps=0.1,
    ),
)
