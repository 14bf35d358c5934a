"""Shards that are read from beginning to end, where nothing can be read at an offset."""

from __future__ import annotations

import logging
import os
import random
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from torch.utils.data import IterableDataset, get_worker_info

from mmstan.datasets.randomness import seed_rng
from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.reliable import add_stock_keys
from mmstan.datasets.shards.captions import CaptionChoice
from mmstan.datasets.shards.names import Urls, expand_urls
from mmstan.datasets.shards.scan import VIDEO_SUFFIXES
from mmstan.datasets.shards.stream_faults import MOST_FAULTS, StreamFaults, end_stream
from mmstan.registry import DATASETS

_BYTES = 600_000  # of a usual sample


@DATASETS.register_module()
class ShardStream(IterableDataset):
    """Videos and captions in shards that are streamed with webdataset.

    For ``pipe:`` commands, object stores without ranges, and disks that seek badly; use
    :class:`Shards` for all others. Each worker draws shards with replacement, reads them from
    beginning to end, and mixes samples in a buffer of undecoded bytes. An unreadable shard is
    replaced by another draw, a broken video by the next sample.

    An epoch has the same number of batches on each rank and worker. The draws are a function of
    (seed, epoch, batches seen, rank, worker). A run that is resumed in mid-epoch draws new samples:
    it goes on statistically, not to the digit. Set ``sampler=None`` in the loader.

    Args:
        urls: As of :class:`Shards`, and ``pipe:COMMAND``. ``s3://`` addresses are read with
            ``aws s3 cp``.
        samples_per_epoch: Samples of an epoch, over all ranks; rounded down to whole batches for
            every worker.
        weights: How often each of the ``urls``, a list, is drawn from; by default each shard is
            drawn equally often.
        buffer: Samples that a worker mixes.
        caption: As of :class:`Shards`.
        video: As of :class:`Shards`.
        pipeline: Transforms.

    Raises:
        ImportError: webdataset is not installed.
        ValueError: ``weights`` do not fit ``urls``, or ``caption`` or ``video`` has another form.
            While it is read: 21 shards in a row have no sample with ``video`` and ``caption``.
        RuntimeError: While it is read: 21 shards in a row cannot be read, or as many videos.
    """

    takes_seed = True
    """That :func:`~mmstan.datasets.set_epoch` tells it seed and epoch."""

    def __init__(
        self,
        urls: Urls,
        *,
        samples_per_epoch: int,
        weights: Sequence[float] | None = None,
        buffer: int = 512,
        caption: str = 'txt',
        video: Sequence[str] = VIDEO_SUFFIXES,
        pipeline: Sequence[dict[str, Any] | Callable[..., Any]] = (),
    ) -> None:
        _import_webdataset()
        self.urls, self.caption = urls, caption
        self.samples_per_epoch, self.buffer = samples_per_epoch, buffer
        if isinstance(video, str) or not video:
            raise ValueError(f'video={video!r} must be a list, such as {VIDEO_SUFFIXES}')
        self.video = tuple(video)
        self.metainfo: dict[str, Any] = {}
        self._choice = CaptionChoice(caption)
        sources = [urls] if isinstance(urls, str) else list(urls)
        self._sources = [[_translate(name) for name in expand_urls(s, pipes=True)] for s in sources]
        self._weights = _read_weights(weights, self._sources)
        self.pipeline = Compose(list(pipeline))
        self.batch_size, self.num_workers = 1, 1
        self._place: tuple[int, int] | None = None
        self._clock = torch.zeros(3, dtype=torch.int64).share_memory_()  # seed, epoch, seen
        self._faults = torch.zeros(64, dtype=torch.int64).share_memory_()

    def __getstate__(self) -> dict[str, Any]:
        # A worker that is spawned, not forked, has no process group to ask.
        return {**vars(self), '_place': self._find_place()}

    def _find_place(self) -> tuple[int, int]:
        """Rank and number of processes."""
        rank, world_size = get_dist_info()
        return self._place if self._place and world_size == 1 else (rank, world_size)

    def divide(self, batch_size: int, num_workers: int) -> None:
        """Set the loader's numbers, by which an epoch is divided; the training loop does that.

        Raises:
            ValueError: An epoch has no batch for every worker.
        """
        self.batch_size, self.num_workers = batch_size, max(1, num_workers)
        _, world_size = self._find_place()
        if not len(self):
            raise ValueError(
                f'samples_per_epoch={self.samples_per_epoch} is less than a batch of {batch_size} '
                f'for each of {self.num_workers} worker(s) on {world_size} process(es)'
            )
        room = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
        local = int(os.environ.get('LOCAL_WORLD_SIZE', world_size))
        needed = self.buffer * _BYTES * self.num_workers * local
        if needed > room / 4:
            print_log(
                f'buffer={self.buffer} of {self.num_workers} workers on {local} processes holds '
                f'about {needed / 1e9:.0f} GB of {room / 1e9:.0f} GB; lower it',
                logger='current',
                level=logging.WARNING,
            )

    def set_epoch(self, epoch: int, *, seed: int) -> None:
        """Tell all workers, present and future, which epoch it is."""
        self._clock.copy_(torch.tensor((seed, epoch, 0)))

    def skip(self, seen: int) -> None:
        """Leave out the first ``seen`` batches of this epoch; others are drawn for the rest."""
        self._clock[2] = seen
        if seen:
            print_log(
                f'resumed statistically behind batch {seen}: a stream draws new samples for the '
                'rest of the epoch',
                logger='current',
                level=logging.WARNING,
            )

    @property
    def num_faults(self) -> int:
        """Number of unreadable shards that all workers have met so far."""
        return int(self._faults.sum())

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        _, world_size = self._find_place()
        batches = self.samples_per_epoch // (self.batch_size * world_size)
        return batches // self.num_workers * self.num_workers * self.batch_size

    def __iter__(self) -> Iterator[Any]:
        """Give this worker's share of the epoch's samples, packed."""
        rank, _ = self._find_place()
        info = get_worker_info()
        worker = info.id if info else 0
        seed, epoch, seen = self._clock.tolist()
        batches = len(self) // self.batch_size - seen
        share = -(-(batches - worker) // (info.num_workers if info else 1))
        key = (seed, epoch, seen, rank, worker)
        samples = self._stream(key, worker)
        broken: list[tuple[str, str]] = []
        for count in range(max(0, share) * self.batch_size):
            while True:
                found = next(samples)
                try:
                    results = self._make_results(found)
                    with seed_rng(*key, count, len(broken)):
                        sample = self.pipeline(add_stock_keys(results))
                    break
                except BrokenVideoError as error:
                    broken.append((error.filename, error.reason))
                    if len(broken) > MOST_FAULTS:
                        raise RuntimeError(
                            f'no readable video in {len(broken)} samples: {broken[:3]}'
                        ) from error
            if broken:
                sample['data_samples'].set_metainfo(dict(broken=broken))
                broken = []
            yield sample

    def digest_samples(self) -> str:
        """Describe the shards, for :func:`~mmstan.datasets.fingerprint.fingerprint`."""
        return f'{zlib.crc32(repr(self._sources).encode()):08x} {self.caption} {self.video}'

    def _stream(self, key: tuple[int, ...], worker: int) -> Iterator[dict[str, Any]]:
        """Mix the samples of shards that are drawn for ever."""
        wds = _import_webdataset()
        # One stream of numbers for the shards, and one for the buffer.
        shards, mixing = np.random.SeedSequence(key).spawn(2)
        faults = StreamFaults(self._faults, worker)
        opened = self._open_shards(np.random.default_rng(shards), faults)
        files = wds.tariterators.tar_file_expander(opened, handler=faults.note)
        samples = wds.tariterators.group_by_keys(files, handler=faults.note)
        draw = random.Random(int(mixing.generate_state(1)[0]))
        mix = wds.shuffle(self.buffer, initial=self.buffer, rng=draw)
        yield from mix(self._choose_whole(samples, faults))

    def _open_shards(
        self, draw: np.random.Generator, faults: StreamFaults
    ) -> Iterator[dict[str, Any]]:
        """Draw shards, open them, and close each before the next."""
        wds = _import_webdataset()
        while True:
            source = self._sources[draw.choice(len(self._sources), p=self._weights)]
            faults.begin(source[draw.integers(len(source))])
            try:
                stream = wds.gopen(faults.url)
            except Exception as error:  # whatever a protocol raises
                faults.note(error)
                continue
            try:
                # A command's pipe itself: webdataset's wrapper loses the end of a failed one.
                data = stream.stream if type(stream).__name__ == 'Pipe' else stream
                yield dict(url=faults.url, stream=data)
                if not faults.failed:
                    end_stream(stream, data)
            except OSError as error:
                faults.note(error)
            finally:
                with suppress(OSError):  # of a command that was stopped
                    stream.close()
            faults.end(f'video={self.video} and caption={self.caption!r}')

    def _choose_whole(
        self, samples: Iterable[dict[str, Any]], faults: StreamFaults
    ) -> Iterator[dict[str, Any]]:
        for sample in samples:
            if self._choice.member in sample and any(suffix in sample for suffix in self.video):
                faults.reset()
                yield sample
            else:
                faults.note_members(sample)

    def _make_results(self, sample: dict[str, Any]) -> dict[str, Any]:
        name = f'{sample["__url__"]}#{sample["__key__"]}'
        try:
            caption, _ = self._choice.read(sample[self._choice.member])
        except ValueError as error:
            raise BrokenVideoError(name, f'has metadata that cannot be read ({error})') from error
        if not caption:
            raise BrokenVideoError(name, self._choice.describe_lack(sample[self._choice.member]))
        video = next(sample[suffix] for suffix in self.video if suffix in sample)
        return dict(video=video, filename=name, video_id=sample['__key__'], captions=[caption])


def _import_webdataset() -> Any:
    try:
        import webdataset
    except ImportError as error:
        raise ImportError(
            'mmstan.ShardStream needs webdataset: pip install "mmstan[stream]"'
        ) from error
    return webdataset


def _translate(url: str) -> str:
    """Turn an address that webdataset does not know into a command."""
    return f'pipe:aws s3 cp {url} -' if url.startswith('s3://') else url


def _read_weights(weights: Sequence[float] | None, sources: Sequence[Sequence[str]]) -> np.ndarray:
    """Turn weights into shares of the sources."""
    if not all(sources) or not sources:
        raise FileNotFoundError(f'urls: {len(sources)} sources, and one has no shard')
    shares = np.array([len(each) for each in sources] if weights is None else weights, float)
    if shares.shape != (len(sources),) or (shares < 0).any() or not shares.sum() > 0:
        raise ValueError(
            f'weights={weights!r} must be {len(sources)} numbers of 0 or more, one for each of urls'
        )
    return shares / shares.sum()
