# The same with DRL's weighted token-wise interaction.
_base_ = './misaligned_stan.py'

model = dict(
    head=dict(interaction=dict(_delete_=True, type='mmstan.WeightedTokenWise', dim=64, layers=2))
)
