_base_ = './hmdb51_b16_32f_2shot.py'

train_dataloader = dict(
    dataset=dict(ann_file='data/hmdb51/few_shot/hmdb51_train_split_1_videos_16shot_seed0.txt')
)
