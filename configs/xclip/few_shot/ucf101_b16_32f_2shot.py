# The same on UCF101, with the lists of
#   python tools/data/few_shot.py data/ucf101/ucf101_train_split_1_videos.txt --seed 0
_base_ = './hmdb51_b16_32f_2shot.py'

class_names = 'data/ucf101/label_map.txt'
num_classes = 101
videos = dict(video='data/ucf101/videos')
test_dataset = dict(ann_file='data/ucf101/ucf101_val_split_1_videos.txt', data_prefix=videos)

blending = dict(augments=[dict(x, num_classes=num_classes) for x in _base_.blending.augments])
model = dict(
    data_preprocessor=dict(blending=blending),
    cls_head=dict(class_names=class_names),
)
train_dataloader = dict(
    dataset=dict(
        ann_file='data/ucf101/few_shot/ucf101_train_split_1_videos_2shot_seed0.txt',
        data_prefix=videos,
    )
)
val_dataloader = dict(dataset=test_dataset)
test_dataloader = dict(dataset=test_dataset)
