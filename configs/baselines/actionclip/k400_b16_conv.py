# ActionCLIP's Conv1D: a convolution over three frames, which starts as a shift.
_base_ = './k400_b16.py'

model = dict(neck=dict(_delete_=True, type='mmstan.SequenceConv', width=512))
