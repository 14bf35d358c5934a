"""From videos with captions to tar shards of small clips: ``tools/prepare_videos.py``."""

from mmstan.prepare.shards.encoding import ClipEncoding, EncodedClip, encode_clip
from mmstan.prepare.shards.sources import CaptionedVideo, read_source
from mmstan.prepare.shards.write import Report, prepare_shards

__all__ = [
    'CaptionedVideo',
    'ClipEncoding',
    'EncodedClip',
    'Report',
    'encode_clip',
    'prepare_shards',
    'read_source',
]
