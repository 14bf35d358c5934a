_base_ = './stan_pretraining_l14.py'

model = dict(
    backbone=dict(tower=dict(model='ViT-L-14-336')),
    text_tower=dict(model='ViT-L-14-336'),
    micro_batch=8,
)
