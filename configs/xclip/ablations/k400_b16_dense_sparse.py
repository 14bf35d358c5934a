# X-CLIP, Table 11: dense sampling in training, sparse in the test, 8 frames; one view.
# The interval is ours: 8 x 8 spans 64 frames.
_base_ = './k400_b16_one_view.py'

frames = dict(type='SampleFrames', clip_len=8, frame_interval=8)
train_pipeline = [dict(type='mmstan.ReadFrames', sampler=frames), *_base_.train_pipeline[1:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
