# STAN, trained on Kinetics-400, on the classes of HMDB51: mean and deviation over the three splits,
# one view, as X-CLIP reports it (STAN's papers do so after post-pretraining only):
#   python tools/test.py configs/stan/zero_shot/hmdb51_b16.py CHECKPOINT
_base_ = ['../k400_b16.py', '../../_base_/datasets/hmdb51_splits.py']

one_view = [_base_.val_pipeline[0], dict(type='Resize', scale=(-1, 256)), *_base_.val_pipeline[2:]]
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=one_view))
