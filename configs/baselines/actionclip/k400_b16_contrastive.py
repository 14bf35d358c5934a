# ActionCLIP's own loss: the videos and texts of a batch in both directions, in 16 templates; the
# text tower learns too. Departure: the scale stays 100.
_base_ = ['./k400_b16.py', '../../_base_/actionclip_templates.py']

model = dict(
    cls_head=dict(
        type='mmstan.MatchingLabelsHead',
        templates=_base_.templates,
        text_tower=dict(frozen=False),
    )
)
optim_wrapper = dict(
    paramwise_cfg=dict(
        rules=[*_base_.optim_wrapper.paramwise_cfg.rules, dict(match=r'cls_head\.texts\.')]
    )
)
