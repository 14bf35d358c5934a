_base_ = './k400_b16_8f.py'

num_frames = 16  # of the tower; the temporal encoder has twice as many
for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.num_frames = 2 * num_frames
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

model = dict(backbone=dict(num_frames=num_frames))
train_dataloader = dict(batch_size=16)
val_dataloader = dict(batch_size=8)
test_dataloader = dict(batch_size=2)
optim_wrapper = dict(accumulative_counts=2)
