# A frozen CLIP ViT-B/16 and a linear layer for Kinetics-400; a method adds what learns between.
_base_ = './clip_mean_b16.py'

model = dict(
    backbone=dict(tower=dict(frozen=True)),
    cls_head=dict(
        _delete_=True,
        type='TimeSformerHead',  # dropout and a linear layer
        num_classes=400,
        in_channels=768,
        dropout_ratio=0.5,
        average_clips='prob',
    ),
)
