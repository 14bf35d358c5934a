_base_ = './k400_b32.py'

num_frames = 16
for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.num_frames = num_frames
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

model = dict(neck=dict(num_frames=num_frames))
test_dataloader = dict(batch_size=1)
