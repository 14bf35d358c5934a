# An action detector around CLIP ViT-B/16; a method adds its backbone. 81: AVA's 80 actions, and
# column 0, which is no action.
_base_ = './clip_images.py'

model = dict(
    type='mmstan.ActionDetector',
    backbone=dict(
        type='mmstan.FrameEncoder',
        tower=dict(type='mmstan.ImageTower', model='ViT-B-16', pretrained='openai'),
    ),
    roi_head=dict(
        type='mmstan.ActionRoIHead', bbox_head=dict(type='mmstan.ActionHead', num_classes=81)
    ),
)
