# STAN's recipe for a few videos of each class, from a model of Kinetics-400: X-CLIP's rate and
# batch size.
_base_ = './recognition.py'

optim_wrapper = dict(optimizer=dict(lr=2e-6))
auto_scale_lr = dict(base_batch_size=64)
