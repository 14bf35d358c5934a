# 32 frames; the batch is 8 clips x 4 steps.
_base_ = './ssv2_b16.py'

num_frames = 32
for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.num_frames = num_frames
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

train_dataloader = dict(batch_size=8)
test_dataloader = dict(batch_size=1)
optim_wrapper = dict(accumulative_counts=4)
