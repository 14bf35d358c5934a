# Trained as Mug-STAN prints it, which is as STAN does; lsmdc_b32.py has the released recipe.
_base_ = '../stan/lsmdc_b32_paper.py'

model = dict(head=dict(interaction=dict(_delete_=True, type='mmstan.Mug')))
