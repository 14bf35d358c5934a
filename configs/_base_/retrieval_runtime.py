# The runtime of video-text retrieval: the best checkpoint is the one that finds most videos.
_base_ = './default_runtime.py'

default_hooks = dict(checkpoint=dict(save_best='retrieval/t2v/R1', rule='greater'))
