"""Images with captions, as videos of one frame."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from mmstan.datasets.annotation_files import check_kind, open_annotations
from mmstan.datasets.video_text.base import Pairs
from mmstan.datasets.video_text.csv_rows import iterate_columns, iterate_rows
from mmstan.datasets.video_text.rows import Row, RowsDataset
from mmstan.registry import DATASETS
from mmstan.text_files import TextFile
from mmstan.wording import show


@DATASETS.register_module()
class ImageText(RowsDataset):
    """Images and captions; an image is a video of one frame.

    ``ann_file`` is CC3M's ``caption TAB path`` a line without a header; a csv with named columns;
    or a json of ``[{"image": path, "caption": text or list of texts}]``. Paths are relative to
    ``data_prefix.img``. Use ``num_frames=1`` in the pipeline.

    Args:
        ann_file: The captions.
        columns: Names of the columns with the path and the caption, in a csv or in the objects of
            a json.
        pairs: In training 'expand', each caption is a sample; in a test 'all'.
        kwargs: Of :class:`RowsDataset` and :class:`VideoTextDataset`.

    Example::

        ImageText('cc3m.tsv', data_prefix=dict(img='data/cc3m'), pipeline=image_pipeline)
    """

    endings = ('',)
    folder_key = 'img'

    def __init__(
        self,
        ann_file: str = '',
        *,
        columns: tuple[str, str] = ('image', 'caption'),
        pairs: Pairs | None = None,
        **kwargs: Any,
    ) -> None:
        self.columns = tuple(columns)
        if pairs == 'random':
            raise ValueError(
                "pairs='random': in training each caption of an image is a sample, none is drawn; "
                'remove pairs'
            )
        super().__init__(ann_file, pairs=pairs, **kwargs)

    def describe_settings(self) -> dict[str, Any]:
        """Add the columns."""
        return dict(super().describe_settings(), columns=self.columns)

    def read_rows(self) -> Iterator[Row]:
        """Read the file in one of its three forms."""
        if self.ann_file.endswith('.json'):
            pairs = self._read_json()
        else:
            first = next(iterate_rows('ann_file', self.ann_file, delimiter='\t'), [])
            pairs = self._read_tabs() if len(first) == 2 else self._read_columns()
        for path, caption in pairs:
            if '://' in path:
                raise TextFile('ann_file', self.ann_file).error(
                    f'{show(path)} is an address, and images are not downloaded here: fetch them '
                    '(img2dataset does), and read its shards by mmstan.Shards, or list their paths'
                )
            yield Row(os.path.normpath(path.strip()), caption)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """A sample; its image is read as the only frame."""
        info = super().get_data_info(idx)
        return dict(info, image_files=[info['filename']])

    def _read_tabs(self) -> Iterator[Sequence[str]]:
        for number, row in enumerate(iterate_rows('ann_file', self.ann_file, delimiter='\t'), 1):
            if len(row) != 2:
                raise TextFile('ann_file', self.ann_file).error(
                    f"{show(row)} must be 'caption TAB path'", line=number
                )
            yield row[::-1]

    def _read_columns(self) -> Iterator[Sequence[str]]:
        return iterate_columns('ann_file', self.ann_file, self.columns)

    def _read_json(self) -> Iterator[Sequence[str]]:
        file = open_annotations('ann_file', self.ann_file)
        image, caption = self.columns
        for number, entry in enumerate(check_kind(file, file.read_json(), list, 'a list'), start=1):
            found = entry if isinstance(entry, dict) else {}
            path, texts = found.get(image), found.get(caption)
            texts = [texts] if isinstance(texts, str) else texts
            if not isinstance(path, str) or not isinstance(texts, list):
                raise file.error(
                    f'entry {number} must be an object with {image!r} and {caption!r}, and is '
                    f'{show(entry)}'
                )
            for text in texts:
                yield path, str(text)
