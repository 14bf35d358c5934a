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

__all__ = [
    'READERS',
    'Backend',
    'BrokenVideoError',
    'VideoReader',
    'choose_backend',
    'open_video',
    'reader_problem',
]
