# Mug-STAN, Table VIII: DRL's weighted token-wise interaction, one linear layer as in STAN's code.
_base_ = '../msrvtt_b32.py'

model = dict(
    head=dict(interaction=dict(_delete_=True, type='mmstan.WeightedTokenWise', dim=512, layers=1))
)
