# Mug-STAN, Table VIII: the sentence, and the frames that its tokens choose (the paper's words).
_base_ = '../msrvtt_b32.py'

model = dict(head=dict(interaction=dict(form='sentence')))
