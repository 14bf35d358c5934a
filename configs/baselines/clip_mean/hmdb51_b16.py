# CLIP as it is on the classes of HMDB51, one view: mean and deviation over the three splits. No
# checkpoint: python tools/test.py configs/baselines/clip_mean/hmdb51_b16.py
_base_ = ['./k400_b16.py', '../../_base_/datasets/hmdb51_splits.py']

test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.val_pipeline))
