# A frozen CLIP ViT-B/16 and a linear layer each for the verbs and nouns of EPIC-Kitchens-100.
_base_ = './clip_mean_b16.py'

linear = dict(type='TimeSformerHead', in_channels=768, dropout_ratio=0.5, average_clips='prob')
model = dict(
    backbone=dict(tower=dict(frozen=True)),
    cls_head=dict(
        _delete_=True,
        type='mmstan.VerbNounHead',
        verb=dict(linear, num_classes=97),
        noun=dict(linear, num_classes=300),
    ),
)
