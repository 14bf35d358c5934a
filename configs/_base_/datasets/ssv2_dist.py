# Something-Something v2 with DiST's augmentation. A flipped video has the mirrored label: "pulling
# something from left to right" (86) and from right to left (87), pushing (93, 94) and turning the
# camera left and right (166, 167).
_base_ = './kinetics400_dist.py'

num_classes = 174
data_root = 'data/sthv2'
class_names = data_root + '/label_map.txt'
blending = dict(augments=[dict(x, num_classes=num_classes) for x in _base_.blending.augments])
train_pipeline = _base_.train_pipeline
train_pipeline[3]['flip_label_map'] = {86: 87, 87: 86, 93: 94, 94: 93, 166: 167, 167: 166}
videos = dict(video=data_root + '/videos')
val_dataset = dict(ann_file=data_root + '/sthv2_val_list_videos.txt', data_prefix=videos)

train_dataloader = dict(
    dataset=dict(
        ann_file=data_root + '/sthv2_train_list_videos.txt',
        data_prefix=videos,
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(dataset=val_dataset)
test_dataloader = dict(dataset=val_dataset)
