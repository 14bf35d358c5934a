# X-CLIP, Table 9: learned vectors (CoOp), HMDB-51, 2 videos a class.
_base_ = ['../ablations/k400_b16_coop.py', '../../_base_/xclip_few_shot.py']

model = dict(
    data_preprocessor=dict(blending=_base_.few_shot.blending),
    cls_head=dict(class_names=_base_.few_shot.class_names),
)
train_dataloader = _base_.few_shot.train_dataloader
val_dataloader = _base_.few_shot.val_dataloader
test_dataloader = _base_.few_shot.test_dataloader
optim_wrapper = _base_.few_shot.optim_wrapper
train_cfg = _base_.few_shot.train_cfg
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], **_base_.few_shot.scheduler),
]
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(checkpoint=dict(save_best=None))  # there is no validation set
