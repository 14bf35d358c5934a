# EVL, a decoder of 4 layers beside a frozen tower, with its own recipe: AdamW, 50,000 steps of 256
# clips (53 epochs), a cosine without warm-up. Departure: no RandAugment.
_base_ = [
    '../../_base_/default_runtime.py',
    '../../_base_/models/clip_linear_b16.py',
    '../../_base_/datasets/kinetics400_dense.py',
    '../../_base_/schedules/evl.py',
]

model = dict(backbone=dict(type='mmstan.EVL', layers=4, num_frames=8))

train_dataloader = dict(batch_size=32)
