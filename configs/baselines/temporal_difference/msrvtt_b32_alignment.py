# CLIP2Video as a whole: differences, and words and frames that are aligned to 5 centres; the score
# and the loss are the mean of both halves.
_base_ = './msrvtt_b32.py'

model = dict(
    neck=dict(alignment=True),
    head=dict(
        interaction=dict(
            _delete_=True,
            type='mmstan.Average',
            parts=[
                dict(type='mmstan.Cosine', frames='normalised'),
                dict(type='mmstan.TemporalAlignment', dim=512, centres=5),
            ],
        )
    ),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            *_base_.optim_wrapper.paramwise_cfg.rules,
            dict(match=r'head\.interaction\.', lr_mult=10),
        ]
    )
)
