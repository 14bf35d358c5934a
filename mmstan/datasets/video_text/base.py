"""What every video-text data set shares: pairing, finding the files, counting what is missing."""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import join_path
from mmengine.logging import print_log
from mmengine.utils import is_abs

from mmstan.datasets.annotation_files import (
    check_inside,
    merge_captions,
    open_annotations,
    read_names,
)
from mmstan.datasets.reliable import ReliableSamples, wrapped
from mmstan.datasets.video_files import find_files
from mmstan.text_files import TextFile

Pairs = Literal['expand', 'random', 'all']
Missing = Literal['error', 'report']


class VideoTextDataset(ReliableSamples, BaseDataset, ABC):
    """Videos and their captions; a subclass says how its annotation files are read.

    A pipeline gets ``dict(filename=, video_id=, captions=[...], sample_idx=)``. In training a
    sample has one caption. In a test it is one video with all its captions, and ``video_id`` is
    unique.

    A video's file has its name, or its name with a video's extension (.mp4, .webm, .avi, ..., in
    any case, or a bare '.'); of several the first in sorted order is taken, with a warning.

    Args:
        ann_file: The captions. Relative paths, here and below, are relative to ``data_root``.
        video_list: The videos of the split: a line each, a JSON list, or a csv with the column
            ``video_id``. Without it, those of ``ann_file``.
        data_prefix: ``dict(video=<folder of the videos>)``. Names below a remote one
            ('s3://...') are not looked up: they get '.mp4', unless the annotations have one.
        pairs: In training 'expand' (the default): each caption is a sample; or 'random': each
            video is one, with a caption drawn anew every epoch. In a test 'all'.
        missing: What to do about videos of the split without a file or without captions:
            'error' (the default in a test, whose scores depend on what is left) or 'report'
            (in training): leave them out, with a warning. Either way ``num_missing`` counts them.
        kwargs: Of :class:`ReliableSamples` and :class:`mmengine.dataset.BaseDataset`, such as
            ``pipeline``, ``test_mode``, ``skip_broken``.

    Raises:
        ValueError: ``pairs`` does not fit ``test_mode``, or a file is not what it should be.
        FileNotFoundError: an annotation file, the folder, every video, or with 'error' any video
            is missing.
    """

    recursive: ClassVar[bool] = False
    """Whether videos may lie anywhere below the folder."""
    names_have_extension: ClassVar[bool] = False
    """Whether videos are named with the extension that they once had."""
    known_sizes: ClassVar[Mapping[str, int]] = {}
    """How many videos a split's file lists as distributed, by its name; others draw a warning."""
    size_unit: ClassVar[Literal['videos', 'captions']] = 'videos'
    """What ``known_sizes`` counts."""

    def __init__(
        self,
        ann_file: str = '',
        *,
        video_list: str = '',
        data_prefix: Mapping[str, str] | None = None,
        pairs: Pairs | None = None,
        missing: Missing | None = None,
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        allowed = ('all',) if test_mode else ('expand', 'random')
        self.pairs = pairs or allowed[0]
        if self.pairs not in allowed:
            raise ValueError(
                f'pairs={pairs!r} with test_mode={test_mode} must be one of {allowed}: in training '
                'a sample has one caption, in a test it is one video with all its captions'
            )
        self.missing = missing or ('error' if test_mode else 'report')
        if self.missing not in ('error', 'report'):
            raise ValueError(f"missing={missing!r} must be 'error' or 'report'")
        self.video_list = video_list
        self.missing_videos: list[str] = []
        """Videos of the split that are left out, in its order."""
        prefix = dict(data_prefix or dict(video=''))
        super().__init__(ann_file, data_prefix=prefix, test_mode=test_mode, **kwargs)

    @abstractmethod
    def read_captions(self) -> Mapping[str, Sequence[str]]:
        """The captions of each video in ``ann_file``, in the file's order."""

    def file_names(self, video: str) -> Sequence[str]:
        """What the file of ``video`` may be called, apart from its extension."""
        return (video,)

    @property
    def num_missing(self) -> int:
        """How many videos of the split are left out."""
        return len(self.missing_videos)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Pair captions and files; see the class."""
        split = self.video_list or self.ann_file
        file = self._captions_file()
        captions, empty = merge_captions(file, self.read_captions())
        if empty:
            _warn(f'{file.path} has {empty} empty captions, which are left out')
        listed = read_names('video_list', split) if self.video_list else captions
        videos = list(dict.fromkeys(listed))
        self._check_size(split, videos=len(videos), captions=sum(map(len, captions.values())))
        captioned = [video for video in videos if captions.get(video)]
        if not captioned:
            raise ValueError(
                f'none of the {len(videos)} videos of {split!r} has a caption: wanted '
                f'{videos[:3]}, found captions of {list(captions)[:3]}: check that ann_file and '
                'video_list are of one data set and split'
            )
        files = self._find_files(captioned)
        without_captions = [video for video in videos if not captions.get(video)]
        without_file = [video for video in captioned if video not in files]
        self._report(split, len(videos), without_captions, without_file)
        samples = []
        for video, filename in files.items():
            texts = captions[video]
            for part in [[text] for text in texts] if self.pairs == 'expand' else [texts]:
                samples.append(dict(filename=filename, video_id=video, captions=part))
        return samples

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline; with ``pairs='random'`` on one of the captions."""
        info = self.get_data_info(idx)
        if self.pairs == 'random':  # drawn here, where ReliableSamples has set the streams
            info['captions'] = [info['captions'][np.random.randint(len(info['captions']))]]
        return self.pipeline(info)

    def _captions_file(self) -> TextFile:
        """Where captions are read, for messages."""
        if self.ann_file:
            return TextFile('ann_file', self.ann_file)
        return open_annotations('video_list', self.video_list)

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.video_list = self._join_root(self.video_list)

    def _join_root(self, path: str) -> str:
        """As MMEngine does with ``ann_file``."""
        if path and not is_abs(path) and self.data_root:
            return join_path(self.data_root, path)
        return path

    def _check_size(self, split: str, **counts: int) -> None:
        """Point out a split that is not the one of the papers."""
        found = counts[self.size_unit]
        expected = self.known_sizes.get(os.path.basename(split), found)
        if found != expected:
            _warn(
                f'{split} lists {found} {self.size_unit}, as distributed it is {expected}: scores '
                'are not comparable'
            )

    def _find_files(self, videos: Sequence[str]) -> dict[str, str]:
        """Files by video, without those that are missing.

        Raises:
            FileNotFoundError: the folder is missing, or all files are.
            ValueError: a name leads out of the folder.
        """
        folder = self.data_prefix['video']
        file = self._captions_file()
        for video in videos:
            check_inside(file, video, folder)
        if '://' in folder:
            named = self.names_have_extension
            files = {video: video if named and '.' in video else f'{video}.mp4' for video in videos}
            return {video: f'{folder.rstrip("/")}/{name}' for video, name in files.items()}
        files, doubts = find_files(
            folder,
            {video: self.file_names(video) for video in videos},
            recursive=self.recursive,
            have_extension=self.names_have_extension,
        )
        for doubt in doubts:
            _warn(doubt)
        return files

    def _report(
        self, split: str, total: int, without_captions: list[str], without_file: list[str]
    ) -> None:
        """Count what is left out.

        Raises:
            FileNotFoundError: something is, and ``missing`` is 'error'.
        """
        self.missing_videos = without_captions + without_file
        if not self.missing_videos:
            return
        parts = [
            f'{len(videos)} without {what} ({_first(videos)})'
            for videos, what in (
                (without_captions, f'captions in {self.ann_file or split}'),
                (without_file, f'a file in {self.data_prefix["video"]}'),
            )
            if videos
        ]
        text = f'{self.num_missing} of {total} videos of {split} are missing: {"; ".join(parts)}'
        if self.missing == 'error':
            raise FileNotFoundError(
                f"missing='error': {text}; add them, or set missing='report' to go on with the "
                'others, whose scores are not comparable'
            )
        _warn(f'{text}; they are left out')


def count_missing(dataset: Any) -> int:
    """How many videos the data sets in ``dataset``, through wrappers, have left out."""
    own = getattr(dataset, 'num_missing', None)
    return sum(map(count_missing, wrapped(dataset))) if own is None else own


def _first(names: Sequence[str], count: int = 5) -> str:
    return ', '.join(names[:count]) + (', ...' if len(names) > count else '')


def _warn(text: str) -> None:
    print_log(text, logger='current', level=logging.WARNING)
