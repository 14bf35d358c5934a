# 16 frames, with the rates that STAN prints.
_base_ = './ssv2_b16_paper.py'

num_frames = 16
for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.num_frames = num_frames
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split
