# X-CLIP from CLIP's weights on two videos of each class of HMDB51, tested on split 1, one view.
# Needs the lists of
#   python tools/data/few_shot.py data/hmdb51/hmdb51_train_split_1_videos.txt --seed 0
# (X-CLIP's own were not released).
_base_ = '../k400_b16_32f.py'

class_names = 'data/hmdb51/label_map.txt'
num_classes = 51
videos = dict(video='data/hmdb51/videos')
test_dataset = dict(
    ann_file='data/hmdb51/hmdb51_val_split_1_videos.txt',
    data_prefix=videos,
    pipeline=_base_.val_pipeline,
)

model = dict(
    data_preprocessor=dict(
        blending=dict(
            augments=[
                dict(type='MixupBlending', alpha=0.8, num_classes=num_classes),
                dict(type='CutmixBlending', alpha=1.0, num_classes=num_classes),
            ]
        )
    ),
    cls_head=dict(class_names=class_names),
)
train_dataloader = dict(
    dataset=dict(
        ann_file='data/hmdb51/few_shot/hmdb51_train_split_1_videos_2shot_seed0.txt',
        data_prefix=videos,
    )
)
val_dataloader = dict(dataset=test_dataset)
test_dataloader = dict(batch_size=16, dataset=test_dataset)

optim_wrapper = dict(optimizer=dict(lr=2e-6), accumulative_counts=2)
train_cfg = dict(max_epochs=50, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, end=5, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=5,
        T_max=45,
        end=50,
        eta_min=2e-8,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=64)
# There is no validation set: the last epoch counts, not the best one on the test videos.
default_hooks = dict(checkpoint=dict(save_best=None))
