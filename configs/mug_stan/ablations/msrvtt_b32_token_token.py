# Mug-STAN, Table VIII: patches beside frames.
_base_ = '../msrvtt_b32.py'

model = dict(head=dict(interaction=dict(video='tokens')))
