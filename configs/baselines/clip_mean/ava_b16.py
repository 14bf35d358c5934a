# CLIP on each frame, the mean of their maps: Mug-STAN, Table IV, the row of CLIP.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/models/detector_b16.py',
    '../../_base_/datasets/ava22.py',
    '../../_base_/schedules/detection.py',
]

load_from = 'work_dirs/baselines/clip_mean/k400_b16/epoch_50.pth'
