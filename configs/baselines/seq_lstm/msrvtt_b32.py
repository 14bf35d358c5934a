# CLIP4Clip's seqLSTM: an LSTM over the frames, before meanP.
_base_ = '../seq_transformer/msrvtt_b32.py'

model = dict(neck=dict(_delete_=True, type='mmstan.SequenceLSTM', width=512))
