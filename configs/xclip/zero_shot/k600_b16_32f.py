# X-CLIP, trained on Kinetics-400, on 160 new classes of Kinetics-600: mean and deviation over three
# choices of 160, one view:
#   python tools/test.py configs/xclip/zero_shot/k600_b16_32f.py CHECKPOINT
_base_ = ['../k400_b16_32f.py', '../../_base_/datasets/kinetics600_splits.py']

test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.val_pipeline))
