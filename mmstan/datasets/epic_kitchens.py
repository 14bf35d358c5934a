"""EPIC-Kitchens-100: segments of long videos, each a verb and a noun."""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

from mmengine.dataset import BaseDataset
from mmengine.fileio import isdir
from mmengine.logging import print_log

from mmstan.datasets.annotation_files import check_inside, open_annotations, read_video_id
from mmstan.datasets.reliable import ReliableSamples
from mmstan.datasets.video_files import VideoFiles, doubt_ambiguous, make_folder_error
from mmstan.registry import DATASETS
from mmstan.text_files import Row, TextFile
from mmstan.wording import show

_COLUMNS = ('start_timestamp', 'stop_timestamp', 'verb_class', 'noun_class')


@DATASETS.register_module()
class EpicKitchens(ReliableSamples, BaseDataset):
    """``EPIC_100_train.csv`` or ``EPIC_100_validation.csv`` and the videos, as distributed.

    A pipeline gets ``dict(filename=, narration_id=, start_seconds=, end_seconds=, label=[verb,
    noun])``; ``mmstan.SampleWindow`` around a sampler reads the times. The csv's frame numbers are
    not used, since they count the frames that are distributed as images. So videos that were
    encoded again at another rate work too. A video lies anywhere below ``data_prefix['video']``, as
    ``P01_01.MP4`` or with another extension; of several files the first in sorted order is taken,
    with a warning. Segments of the test set have no labels.

    Args:
        ann_file: The csv.
        data_prefix: ``dict(video=<folder of the videos>)``.
        kwargs: Of :class:`ReliableSamples` and :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: The csv, the folder or a video is missing.
        ValueError: The csv lacks a column, or a row has an invalid time or class.
    """

    folder_key = 'video'

    def load_data_list(self) -> list[dict[str, Any]]:
        """One sample for each row."""
        segments = read_segments('ann_file', self.ann_file)
        files = self._find_files({segment.video: segment.line for segment in segments})
        return [
            dict(
                filename=files[segment.video],
                narration_id=segment.narration_id,
                start_seconds=segment.start,
                end_seconds=segment.end,
                label=list(segment.labels),
                modality='RGB',
            )
            for segment in segments
        ]

    def _find_files(self, videos: dict[str, int]) -> dict[str, str]:
        """Find the file of each video; ``videos`` has the csv's line of each."""
        folder = self.data_prefix['video']
        file = open_annotations('ann_file', self.ann_file)
        for video, line in videos.items():
            check_inside(file, video, folder, line)
        if not isdir(folder):
            raise make_folder_error(folder)
        found = VideoFiles(folder, recursive=True)
        files = {video: found.find(video) for video in sorted(videos)}
        for doubt in doubt_ambiguous(folder, found, len(videos)):
            print_log(doubt, logger='current', level=logging.WARNING)
        missing = [video for video, path in files.items() if path is None]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of the {len(videos)} videos of ann_file={self.ann_file!r} are not '
                f'below data_prefix={folder!r}, among them {missing[:3]}; it holds '
                f'{found.list_some_names(3)}: fetch them, or leave their rows out'
            )
        return {video: path for video, path in files.items() if path is not None}


class Segment(NamedTuple):
    """A row of the csv; times in seconds, labels of verb and noun."""

    line: int
    video: str
    narration_id: str
    start: float
    end: float
    labels: tuple[int, int]


def read_segments(argument: str, path: str) -> list[Segment]:
    """Read the segments in EPIC-Kitchens' csv.

    Raises:
        ValueError: The csv lacks a column, has no row, or a row is no segment.
        FileNotFoundError: There is no such file.
    """
    file = open_annotations(argument, path)
    rows = file.read_table('video_id', *_COLUMNS)
    if not rows:
        raise file.error('it has no row; give the csv as distributed')
    return [_read_segment(file, row) for row in rows]


def _read_segment(file: TextFile, row: Row) -> Segment:
    fields = row.fields
    try:
        start, end = (
            parse_seconds(fields['start_timestamp']),
            parse_seconds(fields['stop_timestamp']),
        )
        labels = _read_class(fields['verb_class']), _read_class(fields['noun_class'])
        if end <= start:
            raise ValueError(f'it ends at {end} s, and starts at {start} s')
    except ValueError as error:
        raise file.error(
            f'the row is no segment with a verb and a noun: {error}; give the csv as distributed',
            line=row.line,
        ) from error
    video = read_video_id(file, row)
    return Segment(row.line, video, fields.get('narration_id', ''), start, end, labels)


def _read_class(text: str) -> int:
    if not re.fullmatch(r'\d{1,9}', text.strip(), re.ASCII):
        raise ValueError(f'the class {show(text)} is not a whole number from 0 on')
    return int(text)


def parse_seconds(timestamp: str) -> float:
    """Parse a time like 01:02:03.45 into seconds; ValueError for any other form.

    >>> parse_seconds('00:01:02.50')
    62.5
    """
    match = re.fullmatch(r'(\d+):([0-5]?\d):([0-5]?\d(?:\.\d*)?)', timestamp.strip(), re.ASCII)
    if not match:
        raise ValueError(f'the time {show(timestamp)} is not as 01:02:03.45')
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])
