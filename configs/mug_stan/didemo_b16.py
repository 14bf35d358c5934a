_base_ = '../stan/didemo_b16.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
