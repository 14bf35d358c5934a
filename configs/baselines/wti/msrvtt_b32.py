# DRL: seqTransf, and words and frames that seek one another, weighted by two small networks. Its
# recipe is CLIP4Clip's. Without its regulariser CDCR (msrvtt_b32_cdcr.py).
_base_ = '../seq_transformer/msrvtt_b32.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.WeightedTokenWise', dim=512)))
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            *_base_.optim_wrapper.paramwise_cfg.rules,
            dict(match=r'head\.interaction\.', lr_mult=10, optional=True),
        ]
    )
)
