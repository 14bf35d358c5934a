# X-CLIP, Table 7: of CLIP's towers the text tower alone is tuned; one view.
_base_ = './k400_b16_tune_both.py'

model = dict(backbone=dict(tower=dict(frozen=True)))
