# 16 frames; each class looks at the frames that its name chooses (Mug-STAN Eq. 20).
_base_ = '../stan/ssv2_b16_16f.py'

model = dict(neck=None, cls_head=dict(interaction=dict(type='mmstan.Mug')))
