"""EPIC-Kitchens-100: segments of long videos, each a verb and a noun."""

from __future__ import annotations

from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.fileio import isdir

from mmstan.datasets.annotation_files import read_csv
from mmstan.datasets.reliable import ReliableSamples
from mmstan.datasets.video_files import VideoFiles
from mmstan.registry import DATASETS

_COLUMNS = ('start_timestamp', 'stop_timestamp', 'verb_class', 'noun_class')


@DATASETS.register_module()
class EpicKitchens(ReliableSamples, BaseDataset):
    """``EPIC_100_train.csv`` or ``EPIC_100_validation.csv`` and the videos, as distributed.

    A pipeline gets ``dict(filename=, narration_id=, start_seconds=, end_seconds=, label=[verb,
    noun])``; ``mmstan.SampleWindow`` around a sampler reads the times. The timestamps are used and
    not the frame numbers, which count the frames that are distributed as images: videos that were
    encoded anew at another rate do as well. A video lies anywhere below ``data_prefix['video']``,
    as ``P01_01.MP4`` or with another extension. Segments of the test set have no labels.

    Args:
        ann_file: The csv.
        data_prefix: ``dict(video=<folder of the videos>)``.
        kwargs: Of :class:`ReliableSamples` and :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: The csv, the folder or a video is missing.
        ValueError: The csv lacks a column, or a row has a time or a class that is none.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """One sample for each row."""
        rows = read_csv('ann_file', self.ann_file)
        absent = [name for name in _COLUMNS if rows and name not in rows[0]]
        if absent or not rows:
            raise ValueError(
                f'ann_file={self.ann_file!r} has {len(rows)} rows and lacks the columns {absent}; '
                'give EPIC_100_train.csv or EPIC_100_validation.csv as distributed'
            )
        files = self._files({row['video_id'] for row in rows})
        return [self._sample(number, row, files) for number, row in enumerate(rows, start=2)]

    def _files(self, videos: set[str]) -> dict[str, str]:
        folder = self.data_prefix['video']
        if not isdir(folder):
            raise FileNotFoundError(
                f'data_prefix={folder!r} is not a folder; put the videos there as the README says '
                'under data preparation, or set data_prefix of the data set to where they are'
            )
        found = VideoFiles(folder, recursive=True)
        files = {video: found.find(video) for video in sorted(videos)}
        missing = [video for video, path in files.items() if path is None]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of the {len(videos)} videos of ann_file={self.ann_file!r} are not '
                f'below data_prefix={folder!r}, among them {missing[:3]}; it holds '
                f'{found.first_names(3)}: fetch them, or leave their rows out'
            )
        return {video: path for video, path in files.items() if path is not None}

    def _sample(self, line: int, row: dict[str, str], files: dict[str, str]) -> dict[str, Any]:
        try:
            start, end = seconds(row['start_timestamp']), seconds(row['stop_timestamp'])
            label = [int(row['verb_class']), int(row['noun_class'])]
        except ValueError as error:
            raise ValueError(
                f'ann_file={self.ann_file!r}: row {line} is no segment with a verb and a noun '
                f'({error}); give the csv as distributed'
            ) from error
        return dict(
            filename=files[row['video_id']],
            narration_id=row.get('narration_id', ''),
            start_seconds=start,
            end_seconds=end,
            label=label,
            modality='RGB',
        )


def seconds(timestamp: str) -> float:
    """Seconds of a time like 01:02:03.45; ValueError where it is another.

    >>> seconds('00:01:02.50')
    62.5
    """
    hours, minutes, rest = timestamp.split(':')
    return 3600 * int(hours) + 60 * int(minutes) + float(rest)
