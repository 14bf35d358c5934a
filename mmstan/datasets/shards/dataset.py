"""Videos and captions in tar files, each sample read where it lies."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.fileio import join_path
from mmengine.utils import is_abs
from torch.utils.data import get_worker_info

from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.readers.base import say_once
from mmstan.datasets.reliable import ReliableSamples
from mmstan.datasets.shards.captions import CaptionChoice
from mmstan.datasets.shards.files import ShardFiles
from mmstan.datasets.shards.index import INDEX_NAME, open_index
from mmstan.datasets.shards.names import Shard, Urls, find_shards, is_remote
from mmstan.datasets.shards.scan import VIDEO_SUFFIXES, check_suffixes
from mmstan.datasets.shards.selection import Wish, select_rows
from mmstan.registry import DATASETS

_WORKERS = 64  # that count captions apart; more share a place


@DATASETS.register_module()
class Shards(ReliableSamples, BaseDataset):
    """Videos and captions in tar files, as video2dataset, img2dataset and webdataset write them.

    Consecutive members with the same key (the path up to the first point of the base name) are a
    sample: ``KEY.mp4``, ``KEY.txt`` and ``KEY.json``; others are not read. A pipeline gets
    ``dict(video=bytes of the file, filename='SHARD.tar#KEY', video_id=KEY, captions=[one],
    sample_idx=)``; ``mmstan.ReadFrames`` reads it.

    An index says where each sample lies, so that samples are read in any order
    (:class:`ShardSampler`) and a run is resumed in mid-epoch. ``tools/index_shards.py`` writes it
    with many processes; else the first use does. A tar that was changed is indexed again.

    A sample without video or caption is left out, and counted in ``num_missing``. A cut-off tar
    gives the samples before the cut. An empty member is a broken video when it is met.

    Args:
        urls: Braces (``'data/{00000..10726}.tar'``), a folder, a text file of names, or a list.
            Relative names, here and below, are relative to ``data_root``. Addresses
            (``s3://``, ``gs://``, ``https://``, ``hf://``) are read with fsspec.
        caption: ``'txt'``; ``'json:a,b'``, the first of these fields that is not empty; or
            ``'json:a=0.7,b=0.3'``, drawn with these weights.
        video: Endings of the members that are shown; images ('jpg', ...) are videos of one frame.
        index: File of the index, by default ``index.npz`` in the folder of the shards.
        cache_dir: Folder for copies of remote shards, see :class:`ShardFiles`.
        cache_gb: Gigabytes of these copies.
        kwargs: Of :class:`ReliableSamples` and :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: No shard is there, or no shard has a sample.
        ValueError: No sample has such a caption, or the index cannot be written.
    """

    def __init__(
        self,
        urls: Urls,
        *,
        caption: str = 'txt',
        video: Sequence[str] = VIDEO_SUFFIXES,
        index: str | None = None,
        cache_dir: str | None = None,
        cache_gb: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.urls = urls
        self.caption = caption
        self._choice = CaptionChoice(caption)
        self.video = check_suffixes(video)
        self.index_file = index
        self.num_missing = 0
        """Samples that are left out, because they have no video or no caption."""
        self._files = ShardFiles(cache_dir, cache_gb)
        self._repaired = torch.zeros(_WORKERS, dtype=torch.int64).share_memory_()
        prefix = dict(shards=urls if isinstance(urls, str) else ', '.join(urls[:3]))
        super().__init__(data_prefix=prefix, serialize_data=False, **kwargs)

    @property
    def num_repaired(self) -> int:
        """Number of captions read so far, by all workers, whose bytes were not UTF-8."""
        return int(self._repaired.sum())

    @property
    def shard_starts(self) -> np.ndarray:
        """The samples at which a shard begins, and the number of samples; int64, ascending."""
        rows = np.asarray(self.data_list)
        if self._indices is not None and not isinstance(self._indices, int):
            return np.array([0, len(rows)])  # in any order
        return np.unique(np.append(np.searchsorted(rows, self._index.starts), len(rows)))

    def load_data_list(self) -> np.ndarray:
        """Find the shards and their index; returns the places of the usable samples in it."""
        shards = find_shards(self.urls)
        path = self.index_file or self._place_index(shards)
        self._index, places = open_index(shards, path)
        self._shards = {int(place): shard for place, shard in zip(places, shards)}
        wish = Wish(self.urls, self.video, self.caption, self._choice.member)
        rows, self.num_missing = select_rows(self._index, self._shards, wish)
        self._check_fields(rows)
        return rows

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Read a sample: one request for the bytes of all its members."""
        self.full_init()
        row = int(self.data_list[idx])
        name = self._name(row)
        video, caption = self._read_members(row, 'video', self._choice.member)
        return dict(
            video=video,
            filename=name,
            video_id=self._index.get_key(row),
            captions=[self._read_caption(caption, name)],
            sample_idx=range(len(self))[idx],
        )

    def digest_samples(self) -> str:
        """Describe all samples in a line, for :func:`~mmstan.datasets.fingerprint.fingerprint`."""
        shards = sorted((os.path.basename(s.url), s.size) for s in self._shards.values())
        rows = zlib.crc32(np.asarray(self.data_list).tobytes())
        return f'{zlib.crc32(repr(shards).encode()):08x} {rows:08x} {self.caption} {self.video}'

    def _name(self, row: int) -> str:
        shard = self._shards[self._index.find_shard(row)]
        return f'{shard.url}#{self._index.get_key(row)}'

    def _read_members(self, row: int, *members: str) -> list[bytes]:
        """Read the bytes of some members of a sample, all in one range."""
        fields = self._index.fields
        first = int(fields['first'][row])
        places = [
            (first + int(fields[f'{member}_at'][row]), int(fields[f'{member}_length'][row]))
            for member in members
        ]
        begin, end = min(at for at, _ in places), max(at + length for at, length in places)
        shard = self._shards[self._index.find_shard(row)]
        data = self._files.read(shard, begin, end, self._name(row))
        return [data[at - begin : at - begin + length] for at, length in places]

    def _check_fields(self, rows: np.ndarray) -> None:
        """Look into ten samples: wrong names of fields would leave all without a caption."""
        if self._choice.member == 'txt':
            return
        for row in rows[np.linspace(0, len(rows) - 1, 10).astype(int)] if len(rows) else ():
            (data,) = self._read_members(int(row), 'json')
            try:
                if self._choice.read(data)[0]:
                    return
            except ValueError:  # it is a broken sample when it is met
                return
        if len(rows):
            raise ValueError(
                f'caption={self.caption!r}: {self._name(int(row))} '
                f'{self._choice.describe_lack(data)}, as in nine others: name one of these'
            )

    def _read_caption(self, data: bytes, name: str) -> str:
        try:
            caption, whole = self._choice.read(data)
        except ValueError as error:
            raise BrokenVideoError(name, f'has metadata that cannot be read ({error})') from error
        if not caption:
            raise BrokenVideoError(name, self._choice.describe_lack(data))
        if not whole:
            worker = get_worker_info()
            self._repaired[(worker.id if worker else 0) % _WORKERS] += 1
            say_once('caption', name, 'has a caption that is not UTF-8: bytes were replaced')
        return caption

    def _place_index(self, shards: Sequence[Shard]) -> str:
        """Place the index next to the shards; of remote ones in the cache."""
        folder = os.path.dirname(shards[0].url)
        if not is_remote(folder):
            return os.path.join(folder, INDEX_NAME)
        if self._files.cache_dir is None:
            raise ValueError(
                f'urls={self.urls!r} is remote: set index= to a local file for the index, or '
                'cache_dir='
            )
        os.makedirs(self._files.cache_dir, exist_ok=True)
        return os.path.join(self._files.cache_dir, INDEX_NAME)

    def _join_prefix(self) -> None:
        """Make names relative to ``data_root``, as MMEngine does with ``ann_file``."""
        root = self.data_root
        if not root:
            return
        if isinstance(self.urls, str):
            self.urls = _join(root, self.urls)
        else:
            self.urls = [_join(root, url) for url in self.urls]
        self.index_file = self.index_file and _join(root, self.index_file)
        self._files.cache_dir = self._files.cache_dir and _join(root, self._files.cache_dir)


def _join(root: str, path: str) -> str:
    return path if is_abs(path) or is_remote(path) else join_path(root, path)
