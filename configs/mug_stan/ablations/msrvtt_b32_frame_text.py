# Mug-STAN, Table VIII: the sentence chooses the frames (the reading of the released code).
_base_ = '../msrvtt_b32.py'

model = dict(head=dict(interaction=dict(text='sentence')))
