_base_ = './stan_pretraining_l14.py'

tower = dict(model='ViT-H-14', pretrained='laion2b_s32b_b79k')
model = dict(
    backbone=dict(tower=tower, levels=(29, 30, 31, 32)),
    text_tower=tower,
    micro_batch=8,
)
