# X-CLIP, Table 11: sparse sampling in training, dense in the test, 32 frames; one view.
# The interval is ours: 32 x 2 spans 64 frames.
_base_ = './k400_b16_32f_sparse.py'

frames = dict(type='SampleFrames', clip_len=32, frame_interval=2, test_mode=True)
val_pipeline = [dict(type='mmstan.ReadFrames', sampler=frames), *_base_.val_pipeline[1:]]
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
