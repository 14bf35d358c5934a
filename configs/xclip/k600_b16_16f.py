_base_ = './k600_b16.py'

num_frames = 16
for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.num_frames = num_frames
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

model = dict(neck=dict(num_frames=num_frames))
train_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=1)
optim_wrapper = dict(accumulative_counts=8)
