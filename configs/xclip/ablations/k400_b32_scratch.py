# X-CLIP, supplement, Table 4: from random weights with a linear layer, 100 epochs, rate 1e-4 for
# all; one view.
_base_ = './k400_b16_linear.py'

model = dict(backbone=dict(tower=dict(model='ViT-B-32', pretrained=None)))
optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(rules=[dict(match=r'backbone\.|neck\.|cls_head\.')]),
)
train_cfg = dict(max_epochs=100)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], T_max=95, end=100, eta_min=1e-6),
]
