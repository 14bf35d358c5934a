# Recognition as STAN prints it: rate 2e-6, for what is new 2e-5 (recognition.py: Mug-STAN's rates).
_base_ = './recognition.py'

optim_wrapper = dict(optimizer=dict(lr=2e-6))
