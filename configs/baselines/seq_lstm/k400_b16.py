# CLIP4Clip's seqLSTM behind the frames, for recognition: STAN's recipe.
_base_ = '../seq_transformer/k400_b16.py'

model = dict(neck=dict(_delete_=True, type='mmstan.SequenceLSTM', width=512))
