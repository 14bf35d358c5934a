# X-CLIP, Table 7: neither of CLIP's towers is tuned, only what is new; one view.
_base_ = './k400_b16_one_view.py'

model = dict(backbone=dict(tower=dict(frozen=True)))
