# Zero-shot: 24 pairs of shape and motion in training ("circle moving up"), 16 others in the test,
# of which each shape and each motion was seen. From scratch; larger frames, in which shapes differ.
#   python tools/data/moving_shapes_pairs.py
#   python tools/train.py configs/quickstart/xclip_zero_shot.py
#   python tools/test.py configs/quickstart/xclip_zero_shot.py CHECKPOINT
# The test is on the unseen pairs in three parts, among their 16 names: chance is 6 %, the motion
# alone gives 50 %, the shape alone 31 %.
_base_ = './xclip.py'

num_frames, size, max_epochs = 4, 64, 10
train_pipeline = _base_.train_pipeline
test_pipeline = _base_.test_pipeline
for pipeline in (train_pipeline, test_pipeline):
    pipeline[0]['sampler']['num_frames'] = num_frames
    pipeline[1]['scale'] = (size, size)
del pipeline
test_pipeline[2]['crop_size'] = size

pairs = _base_.data_root + '/pairs'
class_names = pairs + '/seen_classes.txt'
model = dict(
    backbone=dict(tower=dict(model=dict(vision_cfg=dict(image_size=size)))),
    neck=dict(num_frames=num_frames),
    cls_head=dict(
        class_names=class_names,
        # Random and frozen: a name's place is about the sum of those of its words.
        text_tower=dict(model=dict(text_cfg=dict(width=128, layers=1))),
    ),
)
train_dataloader = dict(
    batch_size=16, dataset=dict(ann_file=pairs + '/train.txt', pipeline=train_pipeline)
)
seen = dict(ann_file=pairs + '/test.txt', pipeline=test_pipeline)
val_dataloader = dict(dataset=seen)
test_dataloader = dict(dataset=seen)
test_splits = {
    f'unseen_{i}': dict(
        ann_file=f'{pairs}/unseen_{i}.txt', class_names=pairs + '/unseen_classes.txt'
    )
    for i in (1, 2, 3)
}

train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], T_max=max_epochs - 0.5, end=max_epochs),
]
