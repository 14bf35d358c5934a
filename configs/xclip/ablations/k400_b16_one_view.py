# X-CLIP, Tables 6 to 9: all of it, one view. Trained as configs/xclip/k400_b16.py.
_base_ = '../k400_b16.py'

test_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.val_pipeline))
