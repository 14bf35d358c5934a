# X-CLIP, trained on Kinetics-400, on the classes of UCF101: mean and deviation over the three
# splits, one view:
#   python tools/test.py configs/xclip/zero_shot/ucf101_b16_32f.py CHECKPOINT
_base_ = ['../k400_b16_32f.py', '../../_base_/datasets/ucf101_splits.py']

test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.val_pipeline))
