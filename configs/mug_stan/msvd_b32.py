_base_ = '../stan/msvd_b32.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
