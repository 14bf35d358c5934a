_base_ = '../../stan/pretrain/webvid10m_b16.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
