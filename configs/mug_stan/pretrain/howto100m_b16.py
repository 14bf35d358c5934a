_base_ = '../../stan/pretrain/howto100m_b16.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
