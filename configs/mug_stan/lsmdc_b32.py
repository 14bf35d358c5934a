_base_ = '../stan/lsmdc_b32.py'

model = dict(
    head=dict(
        interaction=dict(_delete_=True, type='mmstan.Mug'),
        scale=1 / 0.03,
    )
)
# Released for Mug with another rate, and five times that for what is new.
optim_wrapper = dict(
    optimizer=dict(lr=2e-6, weight_decay=0.1),
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.|text_tower\.'),
            dict(match=r'backbone\.branches\.', lr_mult=5),
        ]
    ),
)
