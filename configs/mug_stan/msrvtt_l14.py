_base_ = '../stan/msrvtt_l14.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
