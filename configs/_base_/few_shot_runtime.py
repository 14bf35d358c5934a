# The runtime of few-shot training. There is no validation set: the last epoch counts, not the best
# one on the test videos.
_base_ = './default_runtime.py'

default_hooks = dict(checkpoint=dict(save_best=None))
