# TimeSformer with joint attention.
_base_ = '../divided_space_time/k400_vit_b16.py'

model = dict(backbone=dict(type='mmstan.JointSpaceTime'))
