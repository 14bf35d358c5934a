# X-CLIP, Table 7: CLIP's image and text towers are tuned; one view.
_base_ = './k400_b16_one_view.py'

model = dict(cls_head=dict(text_tower=dict(frozen=False)))
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[
            dict(match=r'backbone\.tower\.|cls_head\.texts\.|cls_head\.logit_scale'),
            dict(
                match=r'(backbone\.messages|backbone\.context|neck|cls_head\.prompting)\.',
                lr_mult=10,
            ),
        ]
    )
)
