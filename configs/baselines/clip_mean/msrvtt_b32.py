# CLIP4Clip's meanP: at most 12 frames, one a second; no augmentation; the directions averaged.
# Departures: its rate of 1e-7 belongs to a half precision optimiser whose second moments underflow,
# which makes far larger steps, so it is MMAction2's 1e-5 here; AdamW in the place of BertAdam (no
# bias correction); the cosine begins where the warm-up ends (there at step 0: a drop to 0.976); the
# norm of all gradients is clipped, not that of each too; norms do not decay.
_base_ = [
    '../../_base_/retrieval_runtime.py',
    '../../_base_/models/clip_mean_retrieval_b32.py',
    '../../_base_/datasets/msrvtt.py',
    '../../_base_/schedules/retrieval.py',
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

# What comes before the blocks stays as it is, 81.65 % of the parameters learn.
before = r'(class_embedding|positional_embedding|conv1|ln_pre|token_embedding)'
find_unused_parameters = True  # distributed training waits for frozen parameters otherwise
optim_wrapper = dict(
    optimizer=dict(lr=1e-5, eps=1e-6, weight_decay=0.2),
    paramwise_cfg=dict(
        rules=[
            dict(match=rf'(backbone\.tower\.visual|text_tower\.text)\.(?!{before})'),
            dict(match=rf'(backbone\.tower\.visual|text_tower\.text)\.{before}', frozen=True),
            dict(match=r'head\.logit_scale'),
        ]
    ),
    clip_grad=dict(max_norm=1),
)
train_cfg = dict(max_epochs=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=0.5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=0.5, T_max=4.5, end=5, convert_to_iter_based=True),
]
