_base_ = '../stan/didemo_coca_b32.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
