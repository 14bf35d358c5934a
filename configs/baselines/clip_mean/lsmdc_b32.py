# CLIP4Clip's meanP on LSMDC; the recipe is msrvtt_b32.py's.
_base_ = [
    '../../_base_/retrieval_runtime.py',
    '../../_base_/models/clip_mean_retrieval_b32.py',
    '../../_base_/datasets/lsmdc.py',
    '../../_base_/schedules/clip4clip.py',
]

model = dict(
    head=dict(
        interaction=dict(frames='normalised'),
        trainable_scale=True,
        max_scale=100.0,
        reduction='mean',
    ),
)
pipeline = [
    dict(
        type='mmstan.ReadFrames',
        sampler=dict(type='mmstan.SampleSeconds', num_frames=12),
    ),
    dict(_base_.test_pipeline[1], scale=(-1, 224)),
    *_base_.test_pipeline[2:],
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=pipeline))
test_dataloader = dict(dataset=dict(pipeline=pipeline))
find_unused_parameters = True  # distributed training waits for frozen parameters otherwise
