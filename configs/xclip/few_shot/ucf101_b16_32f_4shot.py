_base_ = './ucf101_b16_32f_2shot.py'

train_dataloader = dict(
    dataset=dict(ann_file='data/ucf101/few_shot/ucf101_train_split_1_videos_4shot_seed0.txt')
)
