"""Transforms: reading frames, sampling them, and changing their colours.

A training pipeline of stock and own parts:

    train_pipeline = [
        dict(type='mmstan.ReadFrames', sampler=dict(type='mmstan.SampleSegments', num_frames=8)),
        dict(type='Resize', scale=(-1, 256)),
        dict(type='RandomResizedCrop'),
        dict(type='Resize', scale=(224, 224), keep_ratio=False),
        dict(type='Flip', flip_ratio=0.5),
        dict(type='mmstan.ColorJitter', prob=0.8),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    ]
"""

from mmstan.datasets.transforms.color_jitter import ColorJitter
from mmstan.datasets.transforms.read_frames import ReadFrames, SampleSegments, segment_indices
from mmstan.datasets.transforms.readers import (
    READERS,
    BrokenVideoError,
    VideoReader,
    open_video,
    reader_problem,
)

__all__ = [
    'READERS',
    'BrokenVideoError',
    'ColorJitter',
    'ReadFrames',
    'SampleSegments',
    'VideoReader',
    'open_video',
    'reader_problem',
    'segment_indices',
]
