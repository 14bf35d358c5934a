# 32 frames with 7 between them (the interval is ours: twice the span of 8 x 16); the batch is 8
# clips x 4 steps.
_base_ = './k400_b16.py'

frames = dict(clip_len=32, frame_interval=8)
for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.update(frames)
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

train_dataloader = dict(batch_size=8)
test_dataloader = dict(batch_size=1)
optim_wrapper = dict(accumulative_counts=4)
