# The same on the classes of UCF101: mean and deviation over the three splits.
_base_ = ['./k400_b32.py', '../../_base_/datasets/ucf101_splits.py']
