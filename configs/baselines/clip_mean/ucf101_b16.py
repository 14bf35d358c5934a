# CLIP as it is on the classes of UCF101, one view: mean and deviation over the three splits. No
# checkpoint: python tools/test.py configs/baselines/clip_mean/ucf101_b16.py
_base_ = ['./k400_b16.py', '../../_base_/datasets/ucf101_splits.py']

test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.val_pipeline))
