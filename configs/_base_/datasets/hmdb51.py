# HMDB51, split 1, with the pipelines of Kinetics-400, tested on one view as X-CLIP does. Expected,
# as MMAction2's tools/data/hmdb51 make them (its "val" lists are the official test lists):
#   data/hmdb51/videos/CLASS/*.avi
#   data/hmdb51/hmdb51_{train,val}_split_1_videos.txt
# and the names of the classes in the order of these labels:
#   data/hmdb51/label_map.txt, which `python tools/data/class_names.py data/hmdb51` writes
_base_ = './kinetics400.py'

data_root = 'data/hmdb51'
class_names = data_root + '/label_map.txt'
videos = dict(video=data_root + '/videos')
one_view = [_base_.val_pipeline[0], dict(type='Resize', scale=(-1, 256)), *_base_.val_pipeline[2:]]
test_dataset = dict(
    ann_file=data_root + '/hmdb51_val_split_1_videos.txt', data_prefix=videos, pipeline=one_view
)

train_dataloader = dict(
    dataset=dict(ann_file=data_root + '/hmdb51_train_split_1_videos.txt', data_prefix=videos)
)
val_dataloader = dict(dataset=test_dataset)
test_dataloader = dict(batch_size=16, dataset=test_dataset)
