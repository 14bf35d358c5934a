# A Kinetics-400 model, fine-tuned on two videos of each class of HMDB51. STAN's papers have no
# few-shot results: learning rate, epochs, batch size and the test (split 1, one view) are X-CLIP's,
# the rest is STAN's, with as many frames as the checkpoint knows (X-CLIP: 32). Needs the lists of
#   python tools/data/few_shot.py data/hmdb51/hmdb51_train_split_1_videos.txt --seed 0
# and a checkpoint of configs/stan/k400_b16.py: --cfg-options load_from=CHECKPOINT
_base_ = [
    '../../_base_/few_shot_runtime.py',
    '../../_base_/models/stan_b16.py',
    '../../_base_/datasets/hmdb51.py',
    '../../_base_/schedules/few_shot.py',
]

load_from = 'work_dirs/stan/k400_b16/epoch_50.pth'
model = dict(cls_head=dict(class_names=_base_.class_names))
train_dataloader = dict(
    batch_size=8,
    dataset=dict(ann_file='data/hmdb51/few_shot/hmdb51_train_split_1_videos_2shot_seed0.txt'),
)
