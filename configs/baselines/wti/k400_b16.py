# DRL's seqTransf and weighted token-wise interaction, for recognition: STAN's recipe.
_base_ = '../seq_transformer/k400_b16.py'

model = dict(
    cls_head=dict(interaction=dict(_delete_=True, type='mmstan.WeightedTokenWise', dim=512))
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            *_base_.optim_wrapper.paramwise_cfg.rules,
            dict(match=r'cls_head\.interaction\.', lr_mult=10),
        ]
    )
)
