"""Samples that are reproducible, and that survive broken video files."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from mmengine.dataset import BaseDataset, ClassBalancedDataset, RepeatDataset
from mmengine.logging import print_log

from mmstan.datasets.randomness import seed_rng
from mmstan.datasets.readers import BrokenVideoError


class ReliableSamples(BaseDataset):
    """Makes a data set reproducible and safe against broken videos.

    List it before :class:`mmengine.dataset.BaseDataset` in the bases of a video data set.

    * The randomness of a sample is a function of (seed, epoch, index), whichever worker makes it;
      the streams of the process stay as they were. Where an epoch shows a sample several times
      (:class:`~mmstan.datasets.visits.Visit`), each visit has its own. The training loop sends
      seed and epoch through shared memory (:func:`set_epoch`), which also reaches workers that live
      through all epochs. Under another loop, training samples draw from the worker's own streams,
      as in MMEngine.
    * Training: a video that raises :class:`BrokenVideoError` is replaced by another sample, also a
      function of (seed, epoch, index). After ``max_refetch`` replacements comes a RuntimeError.
    * Testing: the error stops the run. With ``skip_broken=True`` the pipeline runs again with
      ``results['blank'] = True``, and the reader gives black frames. So batches keep their sizes on
      every rank, and the metric leaves the sample out.

    A data sample that was replaced or is black has ``broken=[(file name, reason), ...]`` in its
    meta information.
    """

    folder_key: ClassVar[str] = ''
    """The only key of ``data_prefix``, the folder of the files; '' leaves ``data_prefix`` as is."""

    def __init__(
        self, *args: Any, skip_broken: bool = False, max_refetch: int = 20, **kwargs: Any
    ) -> None:
        if skip_broken and not kwargs.get('test_mode', False):
            raise ValueError(
                'skip_broken=True is for testing (test_mode=True); in training broken videos are '
                'always replaced: remove skip_broken'
            )
        self.skip_broken = skip_broken
        self._clock = torch.full((2,), -1)  # seed, epoch; -1 until a loop sets them
        super().__init__(*args, max_refetch=max_refetch, **kwargs)

    def set_epoch(self, epoch: int, *, seed: int) -> None:
        """Tell all workers, present and future, which epoch it is."""
        self._clock.share_memory_()  # here, since copies of a data set are not shared
        self._clock.copy_(torch.tensor((seed, epoch)))

    def __getitem__(self, idx: int) -> dict[str, Any]:
        """Return the packed sample, or in training its replacement."""
        earlier = getattr(idx, 'earlier', 0)  # of a Visit
        idx = range(len(self))[idx]  # as in a list: -1 is the last
        broken: list[tuple[str, str]] = []
        if self.test_mode:
            with self._seed_sample(idx):
                sample = self._load_test_sample(idx, broken)
            return _flag_broken(sample, broken)
        for attempt in range(self.max_refetch + 1):
            with self._seed_sample(idx, attempt, earlier):
                try:
                    sample = self.prepare_data(self._rand_another() if attempt else idx)
                except BrokenVideoError as error:
                    broken.append((error.filename, error.reason))
                    continue
            if sample is not None:
                return _flag_broken(sample, broken)
        raise RuntimeError(
            f'no readable video in {self.max_refetch + 1} attempts for sample {idx}; check '
            f'data_prefix={self.data_prefix} and: ' + '; '.join(f'{f}: {r}' for f, r in broken[:3])
        )

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline on a sample, or do what the other base does in its place."""
        other: Any = super().prepare_data
        if other.__func__ is not BaseDataset.prepare_data:
            return other(idx)
        return self.run_pipeline(self.get_data_info(idx))

    def run_pipeline(self, info: dict[str, Any]) -> Any:
        """Run the pipeline on a sample, with the keys that MMAction2's transforms ask for."""
        return self.pipeline(add_stock_keys(info))

    def _join_prefix(self) -> None:
        """Check ``data_prefix``, then make it and ``ann_file`` relative to ``data_root``."""
        if self.folder_key:
            self.data_prefix: dict[str, str] = self._check_prefix(self.data_prefix)
        super()._join_prefix()

    def _check_prefix(self, prefix: Any) -> dict[str, str]:
        key = self.folder_key
        folder = prefix.get(key) if isinstance(prefix, Mapping) and len(prefix) == 1 else None
        if not isinstance(folder, str):
            raise ValueError(
                f'data_prefix={prefix!r} of {type(self).__name__} must be dict({key}=FOLDER), '
                'without other keys'
            )
        return {key: folder}

    def _seed_sample(
        self, idx: int, attempt: int = 0, earlier: int = 0
    ) -> AbstractContextManager[None]:
        seed, epoch = self._clock.tolist()
        if seed < 0 and not self.test_mode:
            return nullcontext()
        visit = (earlier,) if earlier else ()
        return seed_rng(max(seed, 0), max(epoch, 0), idx, attempt, *visit)

    def _load_test_sample(self, idx: int, broken: list[tuple[str, str]]) -> dict[str, Any]:
        try:
            sample = self.prepare_data(idx)
        except BrokenVideoError as error:
            if not self.skip_broken:
                raise
            broken.append((error.filename, error.reason))
            sample = self.run_pipeline({**self.get_data_info(idx), 'blank': True})
        if sample is None:
            raise RuntimeError(f'the test pipeline gave None for sample {idx}')
        return sample


def add_stock_keys(info: dict[str, Any]) -> dict[str, Any]:
    """Add ``modality`` and ``start_index`` where a sample lacks them.

    MMAction2's Flip, SampleFrames and others read these. The images of a folder count from 1.
    """
    return dict(modality='RGB', start_index=int('frame_dir' in info)) | info


def _flag_broken(sample: dict[str, Any], broken: list[tuple[str, str]]) -> dict[str, Any]:
    if broken:
        sample['data_samples'].set_metainfo(dict(broken=broken))
    return sample


def set_epoch(dataset: Any, epoch: int, *, seed: int) -> None:
    """Tell every :class:`ReliableSamples` in ``dataset``, through wrappers, seed and epoch."""
    if isinstance(dataset, ReliableSamples) or getattr(dataset, 'takes_seed', False):
        dataset.set_epoch(epoch, seed=seed)
        return
    if isinstance(dataset, (RepeatDataset, ClassBalancedDataset)) and epoch == 0:
        print_log(
            f'{type(dataset).__name__} shows a sample several times an epoch with the same random '
            f'crop and frames; train more epochs instead of repeating',
            logger='current',
            level=logging.WARNING,
        )
    for part in list_wrapped(dataset):
        set_epoch(part, epoch, seed=seed)


def list_wrapped(dataset: Any) -> Sequence[Any]:
    """List the data sets in a wrapper of MMEngine, MMAction2 or PyTorch; empty for others."""
    inner = getattr(dataset, 'dataset', getattr(dataset, '_dataset', None))
    return getattr(dataset, 'datasets', [] if inner is None else [inner])
