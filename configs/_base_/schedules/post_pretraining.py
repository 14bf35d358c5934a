# Post-pretraining on video-text pairs as Mug-STAN prints it: AdamW, rates 4e-6 (CLIP) and 4e-5
# (new), weight decay 0.001, a global batch of 1024, 3 epochs, cosine. The warm-up is the release's:
# half an epoch, from a twentieth; as released the cosine ends at 12 % of the rate, here at 0. The
# norm of `clip_grad` belongs to the true gradient (as released, a process had its own slice's
# alone): the log's `grad_norm` says whether it cuts.
_base_ = './retrieval.py'

optim_wrapper = dict(optimizer=dict(lr=4e-6, weight_decay=0.001))
train_cfg = dict(max_epochs=3)
param_scheduler = [
    dict(_base_.param_scheduler[0], end=0.5),
    dict(_base_.param_scheduler[1], begin=0.5, T_max=2.5, end=3),
]
auto_scale_lr = dict(base_batch_size=1024)
