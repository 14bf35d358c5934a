# Mug-STAN, post-pretrained on video-text pairs, on Kinetics-400 without training: 12 frames as in
# post-pretraining, one view (the paper does not say). From a checkpoint of retrieval (the model of
# ../pretrain/webvid10m_b16.py), or from a released one:
#   python tools/convert_checkpoint.py recognition IN work_dirs/mug_stan/zero_shot/b16.pth
#   python tools/convert_checkpoint.py stan IN work_dirs/mug_stan/zero_shot/b16.pth \
#       --text-tower cls_head.texts.tower.
_base_ = '../k400_b16.py'

load_from = 'work_dirs/mug_stan/zero_shot/b16.pth'
model = dict(backbone=dict(max_frames=12, time_interpolation='linear'))  # as post-pretrained
test_dataloader = dict(
    batch_size=16,
    dataset=dict(
        pipeline=[
            dict(
                type='mmstan.ReadFrames',
                sampler=dict(type='mmstan.SampleSegments', num_frames=12, test_mode=True),
            ),
            *_base_.val_pipeline[1:],
        ]
    ),
)
