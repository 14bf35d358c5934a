# Videos that show their caption's event in a third of their frames, and captions that also tell of
# an event that is not there. It starts from a model of the aligned data: load_from.
_base_ = './retrieval_mug.py'

data_root = 'data/moving_shapes/small/misaligned'
videos = dict(video=data_root)
train_dataloader = dict(dataset=dict(ann_file=data_root + '/train.json', data_prefix=videos))
val_dataloader = dict(dataset=dict(ann_file=data_root + '/test.json', data_prefix=videos))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=5e-4))
