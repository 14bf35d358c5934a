"""Data sets and what their samples go through."""

from mmstan.datasets.activitynet import ActivityNetCaptions
from mmstan.datasets.captions_json import CaptionsJson
from mmstan.datasets.didemo import DiDeMo
from mmstan.datasets.epic_kitchens import EpicKitchens
from mmstan.datasets.lsmdc import LSMDC
from mmstan.datasets.msrvtt import MSRVTT
from mmstan.datasets.msvd import MSVD
from mmstan.datasets.reliable import ReliableSamples, set_epoch
from mmstan.datasets.vatex import VATEX
from mmstan.datasets.video_dataset import VideoDataset
from mmstan.datasets.video_text import VideoTextDataset, count_missing

__all__ = [
    'LSMDC',
    'MSRVTT',
    'MSVD',
    'VATEX',
    'ActivityNetCaptions',
    'CaptionsJson',
    'DiDeMo',
    'EpicKitchens',
    'ReliableSamples',
    'VideoDataset',
    'VideoTextDataset',
    'count_missing',
    'set_epoch',
]
