# For mmstan.FullyShard: few, large micro batches, because each gathers the weights three times.
_base_ = './stan_pretraining_l14.py'

tower = dict(model='ViT-bigG-14', pretrained='laion2b_s39b_b160k')
model = dict(
    backbone=dict(tower=tower, levels=(45, 46, 47, 48)),
    text_tower=tower,
    micro_batch=16,
)
