# ST-Adapter on EPIC-Kitchens-100, a row of DiST's comparison. Neither recipe nor frames are
# printed: these are the 24 adapters of Something-Something and Kinetics' recipe, 8 frames.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/models/clip_verb_noun_b16.py',
    '../../_base_/datasets/epic_kitchens.py',
    '../../_base_/schedules/st_adapter.py',
]

for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.sampler.num_frames = 8
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

model = dict(
    backbone=dict(
        type='mmstan.STAdapter', hidden=384, before=('attention', 'mlp'), features='clip'
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.adapters\.(attention|mlp\.(?!11\.))|cls_head\.'),
            dict(match=r'backbone\.adapters\.mlp\.11\.', frozen=True),
        ]
    ),
)
