# DiST, trained on Kinetics-400 with 32 frames, on the classes of HMDB51: mean and deviation over
# the three splits, one view:
#   python tools/test.py configs/dist/zero_shot/hmdb51_b16_32f.py CHECKPOINT
# The released code, other than the paper, averages the scores with those of plain CLIP; so do
#   --cfg-options model.backbone.frame_features=True model.cls_head.type=mmstan.FusedTextHead
_base_ = ['../k400_b16_32f.py', '../../_base_/datasets/hmdb51_splits.py']

test_dataloader = dict(batch_size=4, dataset=dict(pipeline=_base_.val_pipeline))
