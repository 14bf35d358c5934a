# Mug-STAN, Table VIII: the mean frame chooses the tokens.
_base_ = '../msrvtt_b32.py'

model = dict(head=dict(interaction=dict(video='mean')))
