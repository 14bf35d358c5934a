# Something-Something v2: as Kinetics-400, other files.
_base_ = './kinetics400.py'

data_root = 'data/sthv2'
class_names = data_root + '/label_map.txt'
videos = dict(video=data_root + '/videos')
val_dataset = dict(ann_file=data_root + '/sthv2_val_list_videos.txt', data_prefix=videos)

train_dataloader = dict(
    dataset=dict(ann_file=data_root + '/sthv2_train_list_videos.txt', data_prefix=videos)
)
val_dataloader = dict(dataset=val_dataset)
test_dataloader = dict(dataset=val_dataset)
