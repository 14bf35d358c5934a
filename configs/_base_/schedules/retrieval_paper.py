# Retrieval as STAN and Mug-STAN print it for all data (retrieval.py: as released): rate 2e-6, for
# what is new 2e-5, weight decay 0.02, a global batch of 128. They print no number of epochs: 20, as
# their author says in the repository; the warm-up is ours.
_base_ = './retrieval.py'

optim_wrapper = dict(optimizer=dict(weight_decay=0.02))
train_cfg = dict(max_epochs=20)
param_scheduler = [
    dict(_base_.param_scheduler[0], end=2),
    dict(_base_.param_scheduler[1], begin=2, T_max=18, end=20),
]
