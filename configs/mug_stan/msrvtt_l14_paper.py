# Trained as Mug-STAN prints it, which is as STAN does; msrvtt_l14.py has the released recipe.
_base_ = '../stan/msrvtt_l14_paper.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
