# Mug-STAN, Table VIII, "Video-Token" in the paper's words: frames choose the tokens, and these are
# compared with the mean frame.
_base_ = '../msrvtt_b32.py'

model = dict(head=dict(interaction=dict(form='mean')))
