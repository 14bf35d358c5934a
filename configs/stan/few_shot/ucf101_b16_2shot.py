# The same as ./hmdb51_b16_2shot.py on UCF101, with the lists of
#   python tools/data/few_shot.py data/ucf101/ucf101_train_split_1_videos.txt --seed 0
_base_ = [
    '../../_base_/few_shot_runtime.py',
    '../../_base_/models/stan_b16.py',
    '../../_base_/datasets/ucf101.py',
    '../../_base_/schedules/few_shot.py',
]

load_from = 'work_dirs/stan/k400_b16/epoch_50.pth'
model = dict(cls_head=dict(class_names=_base_.class_names))
train_dataloader = dict(
    batch_size=8,
    dataset=dict(ann_file='data/ucf101/few_shot/ucf101_train_split_1_videos_2shot_seed0.txt'),
)
