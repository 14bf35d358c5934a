# X-CLIP, Table 11: sparse sampling in training, dense in the test, 8 frames; one view.
# The interval is ours: 8 x 8 spans 64 frames.
_base_ = './k400_b16_one_view.py'

frames = dict(type='SampleFrames', clip_len=8, frame_interval=8, test_mode=True)
val_pipeline = [dict(type='mmstan.ReadFrames', sampler=frames), *_base_.val_pipeline[1:]]
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
