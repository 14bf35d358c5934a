"""Videos with captions, as the data sets are distributed."""

from mmstan.datasets.video_text.activitynet import ActivityNetCaptions
from mmstan.datasets.video_text.base import VideoTextDataset, count_missing
from mmstan.datasets.video_text.captions_json import CaptionsJson
from mmstan.datasets.video_text.didemo import DiDeMo
from mmstan.datasets.video_text.howto100m import HowTo100M
from mmstan.datasets.video_text.image_text import ImageText
from mmstan.datasets.video_text.lsmdc import LSMDC
from mmstan.datasets.video_text.msrvtt import MSRVTT
from mmstan.datasets.video_text.msvd import MSVD
from mmstan.datasets.video_text.vatex import VATEX
from mmstan.datasets.video_text.webvid import WebVid

__all__ = [
    'LSMDC',
    'MSRVTT',
    'MSVD',
    'VATEX',
    'ActivityNetCaptions',
    'CaptionsJson',
    'DiDeMo',
    'HowTo100M',
    'ImageText',
    'VideoTextDataset',
    'WebVid',
    'count_missing',
]
