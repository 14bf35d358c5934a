# The model of zero-shot tests (zero_shot/): 32 frames, 10 epochs (the released file says 30).
_base_ = './k400_b16.py'

num_frames = 32
for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.num_frames = num_frames
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

model = dict(neck=dict(num_frames=num_frames))
train_dataloader = dict(batch_size=4)
test_dataloader = dict(batch_size=1)
optim_wrapper = dict(accumulative_counts=8)

train_cfg = dict(max_epochs=10, val_interval=1)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], T_max=5, end=10),
]
