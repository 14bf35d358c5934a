# ActionCLIP with 32 frames, tested on 10 clips x 3 crops.
_base_ = './k400_b16.py'

num_frames = 32
for split in ('train', 'val', 'test'):
    _base_[f'{split}_pipeline'][0].sampler.num_frames = num_frames
    _base_[f'{split}_dataloader'].dataset.pipeline = _base_[f'{split}_pipeline']
del split

_base_.test_pipeline[0].sampler = dict(_base_.test_pipeline[0].sampler, num_clips=10)
test_dataloader = dict(batch_size=1, dataset=dict(pipeline=_base_.test_pipeline))
