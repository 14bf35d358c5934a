# X-CLIP from CLIP's weights on two videos of each class of HMDB51, tested on split 1, one view.
# Needs the lists of
#   python tools/data/few_shot.py data/hmdb51/hmdb51_train_split_1_videos.txt --seed 0
# (X-CLIP's own were not released).
_base_ = '../k400_b16_32f.py'

class_names = 'data/hmdb51/label_map.txt'
num_classes = 51
videos = dict(video='data/hmdb51/videos')
test_dataset = dict(
    ann_file='data/hmdb51/hmdb51_val_split_1_videos.txt',
    data_prefix=videos,
    pipeline=_base_.val_pipeline,
)

blending = dict(augments=[dict(x, num_classes=num_classes) for x in _base_.blending.augments])
model = dict(
    data_preprocessor=dict(blending=blending),
    cls_head=dict(class_names=class_names),
)
train_dataloader = dict(
    dataset=dict(
        ann_file='data/hmdb51/few_shot/hmdb51_train_split_1_videos_2shot_seed0.txt',
        data_prefix=videos,
    )
)
val_dataloader = dict(dataset=test_dataset)
test_dataloader = dict(batch_size=16, dataset=test_dataset)

optim_wrapper = dict(optimizer=dict(lr=2e-6), accumulative_counts=2)
train_cfg = dict(max_epochs=50, val_interval=5)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], T_max=45, end=50, eta_min=2e-8),
]
auto_scale_lr = dict(base_batch_size=64)
# There is no validation set: the last epoch counts, not the best one on the test videos.
default_hooks = dict(checkpoint=dict(save_best=None))
