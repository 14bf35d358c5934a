# With DRL's regulariser CDCR as its released scripts have it: they switch the decorrelation off
# (alpha2 = 0), and alpha1 is 0.11 to 0.16.
_base_ = './msrvtt_b32.py'

model = dict(
    head=dict(regulariser=dict(type='mmstan.ChannelDecorrelation', alpha1=0.11, alpha2=0.0))
)
