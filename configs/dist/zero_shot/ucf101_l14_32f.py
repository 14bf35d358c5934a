# DiST, trained on Kinetics-400 with 32 frames, on the classes of UCF101: mean and deviation over
# the three splits, one view:
#   python tools/test.py configs/dist/zero_shot/ucf101_l14_32f.py CHECKPOINT
# The released code, other than the paper, averages the scores with those of plain CLIP; so do
#   --cfg-options model.backbone.frame_features=True model.cls_head.type=mmstan.FusedTextHead
_base_ = ['../k400_l14_32f.py', '../../_base_/datasets/ucf101_splits.py']

test_dataloader = dict(batch_size=4, dataset=dict(pipeline=_base_.val_pipeline))
