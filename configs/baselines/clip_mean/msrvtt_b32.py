# CLIP4Clip's meanP: at most 12 frames, one a second; no augmentation; the directions averaged.
# Departures: its rate of 1e-7 belongs to a half precision optimiser whose second moments underflow,
# which makes far larger steps, so it is MMAction2's 1e-5 here; AdamW in the place of BertAdam (no
# bias correction); the cosine begins where the warm-up ends (there at step 0: a drop to 0.976); the
# norm of all gradients is clipped, not that of each too; norms do not decay.
_base_ = [
    '../../_base_/retrieval_runtime.py',
    '../../_base_/models/clip_mean_retrieval_b32.py',
    '../../_base_/datasets/msrvtt.py',
    '../../_base_/schedules/clip4clip.py',
]

model = dict(
    head=dict(
        interaction=dict(frames='normalised'),
        trainable_scale=True,
        max_scale=100.0,
        reduction='mean',
    )
)
pipeline = [
    dict(type='mmstan.ReadFrames', sampler=dict(type='mmstan.SampleSeconds', num_frames=12)),
    *_base_.test_pipeline[1:],
]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=pipeline))
test_dataloader = dict(dataset=dict(pipeline=pipeline))

find_unused_parameters = True  # distributed training waits for frozen parameters otherwise
