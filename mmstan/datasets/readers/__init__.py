"""Readers: video files -> frames."""

from mmstan.datasets.readers.choose import (
    READERS,
    Backend,
    BrokenVideoError,
    VideoReader,
    choose_backend,
    open_video,
    reader_problem,
)
from mmstan.datasets.readers.times import find_end, find_frames

__all__ = [
    'READERS',
    'Backend',
    'BrokenVideoError',
    'VideoReader',
    'choose_backend',
    'find_end',
    'find_frames',
    'open_video',
    'reader_problem',
]
