# The same on the classes of HMDB51: mean and deviation over the three splits.
_base_ = ['./k400_b32.py', '../../_base_/datasets/hmdb51_splits.py']
