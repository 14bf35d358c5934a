_base_ = '../stan/activitynet_b16.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
