# CLIP4Clip's seqLSTM behind the frames, for recognition: STAN's recipe.
_base_ = '../clip_mean/k400_b16.py'

model = dict(
    neck=dict(_delete_=True, type='mmstan.SequenceLSTM', width=512),
    cls_head=dict(interaction=dict(type='mmstan.Cosine')),
)
# The neck learns ten times faster.
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[*_base_.optim_wrapper.paramwise_cfg.rules, dict(match=r'neck\.', lr_mult=10)]
    )
)
