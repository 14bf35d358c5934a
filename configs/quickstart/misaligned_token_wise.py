# The same with DRL's token-wise interaction.
_base_ = './misaligned_stan.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.TokenWise')))
