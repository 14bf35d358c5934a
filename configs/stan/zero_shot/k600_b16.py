# STAN, trained on Kinetics-400, on 160 new classes of Kinetics-600: mean and deviation over three
# choices of 160, one view, as X-CLIP reports it:
#   python tools/test.py configs/stan/zero_shot/k600_b16.py CHECKPOINT
_base_ = ['../k400_b16.py', '../../_base_/datasets/kinetics600_splits.py']

one_view = [_base_.val_pipeline[0], dict(type='Resize', scale=(-1, 256)), *_base_.val_pipeline[2:]]
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=one_view))
