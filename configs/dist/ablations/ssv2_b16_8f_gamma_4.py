# DiST, gamma 4: 32 frames for the temporal encoder ("8+32f").
_base_ = '../ssv2_b16_8f.py'

gamma = 4
for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.num_frames = gamma * 8
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

model = dict(backbone=dict(gamma=gamma))
