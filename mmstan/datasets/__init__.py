"""Data sets, readers of videos and the transforms of a pipeline."""

from mmstan.datasets.ava import AVADataset
from mmstan.datasets.epic_kitchens import EpicKitchens
from mmstan.datasets.reliable import ReliableSamples, set_epoch
from mmstan.datasets.shards import MixedClips, Shards, ShardSampler, ShardStream
from mmstan.datasets.video_dataset import VideoDataset
from mmstan.datasets.video_text import (
    LSMDC,
    MSRVTT,
    MSVD,
    VATEX,
    ActivityNetCaptions,
    CaptionsJson,
    DiDeMo,
    HowTo100M,
    ImageText,
    VideoTextDataset,
    WebVid,
    count_missing,
)

__all__ = [
    'LSMDC',
    'MSRVTT',
    'MSVD',
    'VATEX',
    'AVADataset',
    'ActivityNetCaptions',
    'CaptionsJson',
    'DiDeMo',
    'EpicKitchens',
    'HowTo100M',
    'ImageText',
    'MixedClips',
    'ReliableSamples',
    'ShardSampler',
    'ShardStream',
    'Shards',
    'VideoDataset',
    'VideoTextDataset',
    'WebVid',
    'count_missing',
    'set_epoch',
]
