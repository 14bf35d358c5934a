# Trained as Mug-STAN prints it, which is as STAN does; msrvtt_b16.py has the released recipe.
_base_ = '../stan/msrvtt_b16_paper.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
