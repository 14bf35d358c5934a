# The same tower, data and epochs, with X-CLIP: messages between the frames, their integration,
# class names prompted by the video.
_base_ = './clip_mean.py'

model = dict(
    backbone=dict(type='mmstan.XCLIP'),
    neck=dict(type='mmstan.MultiFrameIntegration', width=64, num_frames=8, heads=4),
    cls_head=dict(type='mmstan.PromptedTextHead', heads=4),
)
