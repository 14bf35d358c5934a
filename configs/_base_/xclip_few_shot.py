# Two videos of each class of HMDB51 in place of Kinetics-400, as the few-shot columns of X-CLIP's
# ablations have it: 8 frames, one view, split 1. A config takes what it needs:
#   train_dataloader = _base_.few_shot.train_dataloader
few_shot_test = dict(
    ann_file='data/hmdb51/hmdb51_val_split_1_videos.txt',
    data_prefix=dict(video='data/hmdb51/videos'),
)
few_shot = dict(
    class_names='data/hmdb51/label_map.txt',
    blending=dict(
        augments=[
            dict(type='MixupBlending', alpha=0.8, num_classes=51),
            dict(type='CutmixBlending', alpha=1.0, num_classes=51),
        ]
    ),
    train_dataloader=dict(
        dataset=dict(
            ann_file='data/hmdb51/few_shot/hmdb51_train_split_1_videos_2shot_seed0.txt',
            data_prefix=dict(video='data/hmdb51/videos'),
        )
    ),
    val_dataloader=dict(dataset=few_shot_test),
    test_dataloader=dict(dataset=few_shot_test),
    optim_wrapper=dict(optimizer=dict(lr=2e-6), accumulative_counts=1),  # on 8 GPUs 64 clips
    train_cfg=dict(max_epochs=50),
    scheduler=dict(T_max=45, end=50, eta_min=2e-8),
)
