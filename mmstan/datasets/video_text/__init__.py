"""Videos with captions, as the data sets are distributed."""

from mmstan.datasets.video_text.activitynet import ActivityNetCaptions
from mmstan.datasets.video_text.base import VideoTextDataset, count_missing
from mmstan.datasets.video_text.captions_json import CaptionsJson
from mmstan.datasets.video_text.didemo import DiDeMo
from mmstan.datasets.video_text.lsmdc import LSMDC
from mmstan.datasets.video_text.msrvtt import MSRVTT
from mmstan.datasets.video_text.msvd import MSVD
from mmstan.datasets.video_text.vatex import VATEX

__all__ = [
    'LSMDC',
    'MSRVTT',
    'MSVD',
    'VATEX',
    'ActivityNetCaptions',
    'CaptionsJson',
    'DiDeMo',
    'VideoTextDataset',
    'count_missing',
]
