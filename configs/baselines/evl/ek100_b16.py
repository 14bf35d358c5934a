# EVL on EPIC-Kitchens-100, a row of DiST's comparison. Neither recipe nor frames are printed: these
# are the 12 layers of Something-Something and Kinetics' recipe, 8 frames.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/models/clip_verb_noun_b16.py',
    '../../_base_/datasets/epic_kitchens.py',
    '../../_base_/schedules/evl.py',
]

for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.sampler.num_frames = 8
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

model = dict(backbone=dict(type='mmstan.EVL', layers=12, num_frames=8))
