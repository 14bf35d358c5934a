# Zero-shot: 30 pairs of shape and motion in training ("circle moving right"), 10 others in the
# test, of which each shape and each motion was seen. All from scratch, also the text tower:
#   python tools/data/moving_shapes_pairs.py
#   python tools/train.py configs/quickstart/xclip_zero_shot.py
#   python tools/test.py configs/quickstart/xclip_zero_shot.py CHECKPOINT
# The test is on the unseen pairs in three parts, classified among the ten names (chance: 10 %).
_base_ = './xclip.py'

pairs = _base_.data_root + '/pairs'
class_names = pairs + '/seen_classes.txt'
model = dict(cls_head=dict(class_names=class_names, text_tower=dict(frozen=False)))
train_dataloader = dict(dataset=dict(ann_file=pairs + '/train.txt'))
val_dataloader = dict(dataset=dict(ann_file=pairs + '/test.txt'))
test_dataloader = dict(dataset=dict(ann_file=pairs + '/test.txt'))
test_splits = {
    f'unseen_{i}': dict(
        ann_file=f'{pairs}/unseen_{i}.txt', class_names=pairs + '/unseen_classes.txt'
    )
    for i in (1, 2, 3)
}
