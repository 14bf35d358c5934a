# X-CLIP, Table 11: dense sampling in training, sparse in the test, 32 frames; one view.
# The interval is ours: 32 x 2 spans 64 frames.
_base_ = './k400_b16_32f_sparse.py'

frames = dict(type='SampleFrames', clip_len=32, frame_interval=2)
train_pipeline = [dict(type='mmstan.ReadFrames', sampler=frames), *_base_.train_pipeline[1:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
