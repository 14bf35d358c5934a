"""WebVid."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from typing import Any

from mmengine.logging import print_log

from mmstan.datasets.video_text.csv_rows import iterate_columns
from mmstan.datasets.video_text.rows import Row, RowsDataset
from mmstan.registry import DATASETS

_DURATION = re.compile(r'PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?')


def read_duration(text: str) -> float | None:
    """Read a duration in seconds as WebVid writes it; None where it is another form.

    >>> read_duration('PT00H01M02S'), read_duration('')
    (62.0, None)
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds


@DATASETS.register_module()
class WebVid(RowsDataset):
    """WebVid-2M and -10M: one caption a video.

    ``ann_file`` is a csv as distributed (``results_10M_train.csv``) or as video2dataset takes it:
    columns ``videoid`` and ``name``, the caption; ``page_dir`` and ``duration``; and any others, in
    any order. A video is ``{page_dir}/{videoid}.mp4`` below the folder, or ``{videoid}.mp4`` in it.

    Args:
        ann_file: The csv.
        max_seconds: Longer videos are left out.
        kwargs: Of :class:`RowsDataset` and :class:`VideoTextDataset`.

    Example::

        WebVid(
            'results_10M_train.csv',
            data_root='data/webvid',
            data_prefix=dict(video='videos'),
            pipeline=train_pipeline,
        )
    """

    def __init__(
        self, ann_file: str = '', *, max_seconds: float | None = None, **kwargs: Any
    ) -> None:
        self.max_seconds = max_seconds
        super().__init__(ann_file, **kwargs)

    def describe_settings(self) -> dict[str, Any]:
        """Add ``max_seconds``."""
        return dict(super().describe_settings(), max_seconds=self.max_seconds)

    def read_rows(self) -> Iterator[Row]:
        """Read the csv; the longer videos are counted in the log."""
        needed = ['videoid', 'name', *(['duration'] if self.max_seconds else [])]
        longer = 0
        for video, caption, *more in iterate_columns(
            'ann_file', self.ann_file, needed, optional=['page_dir']
        ):
            seconds = read_duration(more[0]) if self.max_seconds else None
            if self.max_seconds and seconds is not None and seconds > self.max_seconds:
                longer += 1
                continue
            yield Row(os.path.join(more[-1].strip(), video.strip()), caption)
        if longer:
            print_log(
                f'{self.ann_file}: {longer} videos are longer than max_seconds={self.max_seconds} '
                'and are left out',
                logger='current',
                level=logging.INFO,
            )
