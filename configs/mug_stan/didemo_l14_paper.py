# Trained as Mug-STAN prints it, which is as STAN does.
_base_ = '../stan/didemo_l14_paper.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
