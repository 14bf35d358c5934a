# The runtime of post-pretraining. A checkpoint every 1000 iterations, and the last one counts: the
# score of MSR-VTT is logged, not selected by. Crawled sets may lose some of their videos.
_base_ = './default_runtime.py'

default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=1000, max_keep_ckpts=3, save_best=None)
)
custom_hooks = [
    dict(type='mmstan.BrokenVideos', max_share=0.1, interval=200),
    *_base_.custom_hooks[1:],
]
