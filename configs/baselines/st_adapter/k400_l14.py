# L/14: adapters in all 24 blocks, as wide as in B/16, whose recipe this is: its release has no
# L/14.
_base_ = './k400_b16.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14')),
    cls_head=dict(in_channels=1024),
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.adapters\.mlp\.(?!23\.)|cls_head\.'),
            dict(match=r'backbone\.adapters\.mlp\.23\.', frozen=True),
        ]
    ),
)
