# Mug-STAN, post-pretrained on HowTo100M: the loss is contrastive alone, noisy captions are left to
# Mug.
_base_ = '../../stan/pretrain/howto100m_b32.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
