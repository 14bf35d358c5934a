# Mug-STAN, post-pretrained on WebVid10M: the loss is contrastive alone, noisy captions are left to
# Mug.
_base_ = '../../stan/pretrain/webvid10m_b32.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
