# ActionCLIP's LSTM.
_base_ = './k400_b16.py'

model = dict(neck=dict(_delete_=True, type='mmstan.SequenceLSTM', width=512))
