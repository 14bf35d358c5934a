# UCF101, split 1, with the pipelines of Kinetics-400, tested on one view as X-CLIP does. Expected,
# as MMAction2's tools/data/ucf101 make them (its "val" lists are the official test lists):
#   data/ucf101/videos/CLASS/*.avi
#   data/ucf101/ucf101_{train,val}_split_1_videos.txt
# and the names of the classes in the order of these labels:
#   data/ucf101/label_map.txt, which `python tools/data/class_names.py data/ucf101` writes
_base_ = './kinetics400.py'

data_root = 'data/ucf101'
class_names = data_root + '/label_map.txt'
videos = dict(video=data_root + '/videos')
one_view = [_base_.val_pipeline[0], dict(type='Resize', scale=(-1, 256)), *_base_.val_pipeline[2:]]
test_dataset = dict(
    ann_file=data_root + '/ucf101_val_split_1_videos.txt', data_prefix=videos, pipeline=one_view
)

train_dataloader = dict(
    dataset=dict(ann_file=data_root + '/ucf101_train_split_1_videos.txt', data_prefix=videos)
)
val_dataloader = dict(dataset=test_dataset)
test_dataloader = dict(batch_size=16, dataset=test_dataset)
