# Kinetics-600 as Kinetics-400. Expected, as MMAction2's tools/data/kinetics make them:
#   data/kinetics600/{videos_train,videos_val}/
#   data/kinetics600/kinetics600_{train,val}_list_videos.txt
# and its names of the classes, data/kinetics600/label_map_k600.txt
_base_ = './kinetics400_xclip.py'

num_classes = 600
data_root = 'data/kinetics600'
class_names = data_root + '/label_map_k600.txt'
blending = dict(augments=[dict(x, num_classes=num_classes) for x in _base_.blending.augments])
val_dataset = dict(
    ann_file=data_root + '/kinetics600_val_list_videos.txt',
    data_prefix=dict(video=data_root + '/videos_val'),
)

train_dataloader = dict(
    dataset=dict(
        ann_file=data_root + '/kinetics600_train_list_videos.txt',
        data_prefix=dict(video=data_root + '/videos_train'),
    )
)
val_dataloader = dict(dataset=val_dataset)
test_dataloader = dict(dataset=val_dataset)
