# Something-Something v2 with X-CLIP's augmentation, without flips (the classes tell left from
# right), tested on 1 clip x 3 crops.
_base_ = './kinetics400_xclip.py'

num_classes = 174
data_root = 'data/sthv2'
class_names = data_root + '/label_map.txt'
blending = dict(augments=[dict(x, num_classes=num_classes) for x in _base_.blending.augments])
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'Flip']
test_pipeline = [_base_.val_pipeline[0], *_base_.test_pipeline[1:]]
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
test_dataloader = dict(batch_size=4, dataset=dict(val_dataset, pipeline=test_pipeline))
