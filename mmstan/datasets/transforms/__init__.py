"""Transforms: reading frames, sampling them, changing their colours, tokenising text.

A training pipeline of stock and own parts::

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

For captions the last step is::

        dict(
            type='PackActionInputs',
            meta_keys=('img_shape', 'filename', 'video_id'),
            algorithm_keys=('captions', 'frame_mask'),
        ),
"""

from mmstan.datasets.transforms.color_jitter import ColorJitter
from mmstan.datasets.transforms.random_box_crop import RandomBoxCrop
from mmstan.datasets.transforms.read_frames import ReadFrames
from mmstan.datasets.transforms.resize_to_grid import ResizeToGrid, fit_to_grid
from mmstan.datasets.transforms.sample_keyframe import SampleKeyframe, choose_around
from mmstan.datasets.transforms.sample_seconds import SampleSeconds, choose_seconds
from mmstan.datasets.transforms.sample_segments import (
    SampleSegments,
    choose_in_segments,
    choose_middles,
)
from mmstan.datasets.transforms.sample_window import SampleWindow, find_window
from mmstan.datasets.transforms.tokenize import Tokenize

__all__ = [
    'ColorJitter',
    'RandomBoxCrop',
    'ReadFrames',
    'ResizeToGrid',
    'SampleKeyframe',
    'SampleSeconds',
    'SampleSegments',
    'SampleWindow',
    'Tokenize',
    'choose_around',
    'choose_in_segments',
    'choose_middles',
    'choose_seconds',
    'find_window',
    'fit_to_grid',
]
