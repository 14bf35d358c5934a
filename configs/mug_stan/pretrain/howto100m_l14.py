_base_ = '../../stan/pretrain/howto100m_l14.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
