# X-CLIP, trained on Kinetics-400, on the classes of HMDB51: mean and deviation over the three
# splits, one view:
#   python tools/test.py configs/xclip/zero_shot/hmdb51_b16_32f.py CHECKPOINT
_base_ = ['../k400_b16_32f.py', '../../_base_/datasets/hmdb51_splits.py']

test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.val_pipeline))
