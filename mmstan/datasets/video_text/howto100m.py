"""HowTo100M."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from mmengine.logging import print_log

from mmstan.datasets.annotation_files import read_names
from mmstan.datasets.video_text.csv_rows import iterate_columns
from mmstan.datasets.video_text.json_objects import iterate_object
from mmstan.datasets.video_text.narration import (
    Caption,
    clean_narration,
    merge_captions,
    widen_caption,
)
from mmstan.datasets.video_text.rows import Row, RowsDataset
from mmstan.registry import DATASETS
from mmstan.wording import check_choice

Clip = Literal['caption', 'merged']
_PICKLES = ('.pickle', '.pkl')


@DATASETS.register_module()
class HowTo100M(RowsDataset):
    """HowTo100M: narrated videos, of which each visit shows the part around one caption.

    A sample is a video. A visit draws one of its captions, and gives it with ``start_seconds`` and
    ``end_seconds``, which ``mmstan.SampleWindow`` reads. Captions whose times or texts cannot be
    used are left out and counted; a video without any is missing.

    Args:
        ann_file: The videos: a csv with the column ``video_id`` as distributed
            (``HowTo100M_v1.csv``), or a list of ids; by default all videos of ``captions``.
        captions: A json of ``{id: {"start": [s], "end": [s], "text": [str]}}``, or a folder of
            ``{id}.csv`` with the columns start, end, text.
        clip: 'caption': the caption's own time, widened to ``min_seconds`` around its middle
            (MIL-NCE); 'merged': the caption with as many of its neighbours as it takes to last
            ``min_seconds`` and to have ``min_words`` (HowTo100M).
        min_seconds: The shortest part.
        min_words: The fewest words, with 'merged'.
        candidates: Captions a visit gives; 1, since no loss here reads several.
        kwargs: Of :class:`RowsDataset` and :class:`VideoTextDataset`; files are ``{id}.mp4``,
            ``.webm`` or ``.mkv``. There is no ``test_mode``.

    Example::

        HowTo100M(
            'HowTo100M_v1.csv',
            captions='caption.json',
            data_root='data/howto100m',
            data_prefix=dict(video='videos'),
            pipeline=narrated_pipeline,
        )
    """

    endings = ('.mp4', '.webm', '.mkv')

    def __init__(
        self,
        ann_file: str = '',
        *,
        captions: str,
        clip: Clip = 'caption',
        min_seconds: float = 4.0,
        min_words: int = 0,
        candidates: int = 1,
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choice('clip', clip, Clip)
        if candidates != 1:
            raise ValueError(
                f'candidates={candidates}: no loss here reads several captions of a clip; use '
                'candidates=1'
            )
        if test_mode:
            raise ValueError('test_mode=True: HowTo100M draws its captions, it is for training')
        if captions.endswith(_PICKLES):
            raise ValueError(_describe_conversion(captions))
        self.captions = captions
        self.clip, self.min_seconds, self.min_words = clip, min_seconds, min_words
        super().__init__(ann_file, **kwargs)

    def describe_settings(self) -> dict[str, Any]:
        """Add the file of captions, or of a folder its time of change."""
        settings = super().describe_settings() if self.ann_file else {}
        folder, file = self.data_prefix['video'], os.stat(self.captions)
        return dict(settings, folder=folder, captions=(file.st_size, file.st_mtime_ns))

    def digest_samples(self) -> str | None:
        """Add the settings that choose the parts of the videos."""
        rows = super().digest_samples()
        return rows and f'{rows} {self.clip} {self.min_seconds} {self.min_words}'

    @property
    def cache_path(self) -> str:
        """The cache lies next to the captions."""
        return f'{self.captions.rstrip("/")}.cache'

    def read_rows(self) -> Iterator[Row]:
        """Read the usable captions of each video, as JSON; '' of a video without any."""
        videos = dict.fromkeys(read_names('ann_file', self.ann_file)) if self.ann_file else None
        left_out = 0
        for video, entry in self._iterate_narrations(videos):
            if videos is not None:
                if video not in videos:
                    continue
                del videos[video]
            narration, bad = clean_narration(entry)
            left_out += bad
            yield Row(video, json.dumps(narration, ensure_ascii=False) if narration else '')
        yield from (Row(video, '') for video in videos or ())
        if left_out:
            print_log(
                f'{self.captions}: {left_out} captions are left out: lists of unequal length, '
                'times that are no numbers or end before they start, or no text',
                logger='current',
                level=logging.WARNING,
            )

    def prepare_data(self, idx: int) -> Any:
        """Draw a caption, and run the pipeline on its part of the video."""
        info = self.get_data_info(idx)
        captions = [Caption(*each) for each in json.loads(info['captions'][0])]
        caption = self.choose_window(captions, np.random.randint(len(captions)))
        info.update(captions=[caption.text], start_seconds=caption.start, end_seconds=caption.end)
        return self.run_pipeline(info)

    def choose_window(self, captions: list[Caption], index: int) -> Caption:
        """Choose the part of the video for a caption, and the text that goes with it."""
        if self.clip == 'caption':
            return widen_caption(captions, index, self.min_seconds)
        return merge_captions(captions, index, self.min_seconds, self.min_words)

    def _iterate_narrations(
        self, videos: Mapping[str, None] | None
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Give the raw captions of videos, of a folder only of those that are asked for."""
        if not os.path.isdir(self.captions):
            yield from iterate_object('captions', self.captions)
            return
        stems = (os.path.splitext(name) for name in os.listdir(self.captions))
        names = {stem for stem, ending in stems if ending == '.csv'}
        for video in [each for each in videos or sorted(names) if each in names]:
            path = os.path.join(self.captions, f'{video}.csv')
            rows = [*iterate_columns('captions', path, ['start', 'end', 'text'])]
            yield video, {key: [row[at] for row in rows] for at, key in enumerate(Caption._fields)}

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.captions = self._join_root(self.captions)


def _describe_conversion(path: str) -> str:
    target = os.path.splitext(path)[0] + '.json'
    code = f"json.dump(pickle.load(open('{path}', 'rb')), open('{target}', 'w'))"
    return (
        f'captions={path!r} is a pickle, which runs code when it is read; if you trust its source, '
        f'turn it into json once: python -c "import json, pickle; {code}" and set '
        f'captions={target!r}'
    )
