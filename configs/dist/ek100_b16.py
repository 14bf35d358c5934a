# EPIC-Kitchens-100, 8 + 16 frames. The paper has the accuracies and no recipe: this is that of
# Something-Something without greyscale, and without Mixup and CutMix, which MMAction2 has for one
# label alone. Every verb and noun is compared with the same feature of the video.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/dist_b16.py',
    '../_base_/datasets/epic_kitchens.py',
    '../_base_/schedules/dist.py',
]

text_head = dict(
    type='mmstan.TextHead',
    text_tower=dict(type='mmstan.TextTower', model='ViT-B-16', pretrained='openai', frozen=True),
    label_smooth_eps=0.1,
)
model = dict(
    backbone=dict(pooling_layers=2),
    cls_head=dict(
        _delete_=True,
        type='mmstan.VerbNounHead',
        verb=dict(text_head, class_names=_base_.data_root + '/verbs.txt'),
        noun=dict(text_head, class_names=_base_.data_root + '/nouns.txt'),
    ),
)
