"""The contract of video-text data sets: pairing, finding files, counting missing videos."""

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
from mmstan.datasets.reliable import ReliableSamples, list_wrapped
from mmstan.datasets.video_files import find_files
from mmstan.text_files import TextFile
from mmstan.wording import name_a_few

Pairs = Literal['expand', 'random', 'all']
Missing = Literal['error', 'report']


class VideoTextDataset(ReliableSamples, BaseDataset, ABC):
    """Videos and their captions.

    A pipeline gets ``dict(filename=, video_id=, captions=[...], sample_idx=)``. In training a
    sample has one caption. In a test a sample is one video with all its captions, and ``video_id``
    is unique.

    A file has the video's name, or this name with a video's extension (.mp4, .webm, .avi, ..., in
    any case, or a bare '.'). If several files match, the first in sorted order is taken, with a
    warning.

    To write a data set:

    1. ``read_captions`` reads ``ann_file``; :mod:`mmstan.datasets.annotation_files` has helpers.
    2. If files have other names than the ids, ``list_file_names`` lists them.
    3. ``known_sizes`` counts the splits as distributed; ``recursive`` and ``names_have_extension``
       say how files are found.

    Args:
        ann_file: The captions. Relative paths, here and below, are relative to ``data_root``.
        video_list: The videos of the split: a line each, a JSON list, or a csv with the column
            ``video_id``. By default, all videos of ``ann_file``.
        data_prefix: ``dict(video=<folder of the videos>)``. Names below a remote one
            ('s3://...') are not looked up: they get '.mp4', unless the annotations have one.
        pairs: In training 'expand' (the default): each caption is a sample; or 'random': each video
            is a sample, with another random caption every epoch. In a test 'all'.
        missing: Videos of the split without a file or without captions raise an 'error' (the
            default in a test, because a smaller gallery gives other scores), or are left out with a
            warning, 'report' (the default in training). ``num_missing`` counts them.
        kwargs: Of :class:`ReliableSamples` and :class:`mmengine.dataset.BaseDataset`, such as
            ``pipeline``, ``test_mode``, ``skip_broken``.

    Raises:
        ValueError: ``pairs`` does not fit ``test_mode``, or a file has another form.
        FileNotFoundError: An annotation file, the folder or every video is missing, or with 'error'
            any video.
    """

    folder_key = 'video'
    recursive: ClassVar[bool] = False
    """Whether videos may lie anywhere below the folder."""
    names_have_extension: ClassVar[bool] = False
    """Whether videos are named with the extension that they once had."""
    known_sizes: ClassVar[Mapping[str, int]] = {}
    """Number of videos in a split's file as distributed, by file name; other numbers warn."""
    size_unit: ClassVar[Literal['videos', 'captions']] = 'videos'
    """The things that ``known_sizes`` counts."""

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
        prefix = data_prefix or {self.folder_key: ''}
        super().__init__(ann_file, data_prefix=prefix, test_mode=test_mode, **kwargs)

    @abstractmethod
    def read_captions(self) -> Mapping[str, Sequence[str]]:
        """Read the captions of each video in ``ann_file``, in the file's order."""

    def list_file_names(self, video: str) -> Sequence[str]:
        """List possible names of a video's file, without extension."""
        return (video,)

    @property
    def num_missing(self) -> int:
        """Number of videos of the split that are left out."""
        return len(self.missing_videos)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Pair captions and files; see the class."""
        split = self.video_list or self.ann_file
        file = self._open_captions()
        captions, empty = merge_captions(file, self.read_captions())
        if empty:
            _warn(f'{file.path} has {empty} empty captions, which are left out')
        # The split decides the videos and their order; each needs a caption, then a file.
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
        return self.run_pipeline(info)

    def _open_captions(self) -> TextFile:
        """Open the file with the captions, which messages name."""
        if self.ann_file:
            return TextFile('ann_file', self.ann_file)
        return open_annotations('video_list', self.video_list)

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.video_list = self._join_root(self.video_list)

    def _join_root(self, path: str) -> str:
        """Make a path relative to ``data_root``, as MMEngine does with ``ann_file``."""
        if path and not is_abs(path) and self.data_root:
            return join_path(self.data_root, path)
        return path

    def _check_size(self, split: str, **counts: int) -> None:
        """Warn of a split with another size than the papers'."""
        found = counts[self.size_unit]
        expected = self.known_sizes.get(os.path.basename(split), found)
        if found != expected:
            _warn(
                f'{split} lists {found} {self.size_unit}, as distributed it is {expected}: scores '
                'are not comparable'
            )

    def _find_files(self, videos: Sequence[str]) -> dict[str, str]:
        """Find the file of each video; missing videos are left out.

        Raises:
            FileNotFoundError: The folder is missing, or all files are.
            ValueError: A name leads out of the folder.
        """
        folder = self.data_prefix[self.folder_key]
        file = self._open_captions()
        for video in videos:
            check_inside(file, video, folder)
        if '://' in folder:
            named = self.names_have_extension
            files = {video: video if named and '.' in video else f'{video}.mp4' for video in videos}
            return {video: f'{folder.rstrip("/")}/{name}' for video, name in files.items()}
        files, doubts = find_files(
            folder,
            {video: self.list_file_names(video) for video in videos},
            recursive=self.recursive,
            have_extension=self.names_have_extension,
        )
        for doubt in doubts:
            _warn(doubt)
        return files

    def _report(
        self, split: str, total: int, without_captions: list[str], without_file: list[str]
    ) -> None:
        """Report missing videos.

        Raises:
            FileNotFoundError: A video is missing, and ``missing`` is 'error'.
        """
        self.missing_videos = without_captions + without_file
        if not self.missing_videos:
            return
        parts = [
            f'{len(videos)} without {thing} ({name_a_few(videos)})'
            for videos, thing in (
                (without_captions, f'captions in {self.ann_file or split}'),
                (without_file, f'a file in {self.data_prefix[self.folder_key]}'),
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
    """Count the videos that the data sets in ``dataset``, through wrappers, have left out."""
    own = getattr(dataset, 'num_missing', None)
    return sum(map(count_missing, list_wrapped(dataset))) if own is None else own


def _warn(text: str) -> None:
    print_log(text, logger='current', level=logging.WARNING)
