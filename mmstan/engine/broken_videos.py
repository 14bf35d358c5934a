"""Broken videos: counted, named, and too many of them stop the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import IterableDataset

from mmstan.registry import HOOKS

_KEY = 'broken_videos'  # in the message hub, which checkpoints carry
_MOST = 200  # names in the log, and in a checkpoint
_FILE = 'broken.txt'


@HOOKS.register_module()
class BrokenVideos(Hook):
    """Counts the videos that :class:`~mmstan.datasets.ReliableSamples` had to replace.

    The log names each file once, with the reason, up to 200 of them; ``broken.txt`` in the work dir
    names all, a line each. An epoch ends with a count over all ranks. When more than ``max_share``
    of an epoch's samples and more than ``max_count`` files failed in it, ``RuntimeError`` lists the
    first. Ranks are compared every ``interval`` iterations, since they wait for each other then.

    A checkpoint carries the count of its epoch and 200 names. Of the others, a resumed run counts
    again which it meets again.
    """

    priority = 'LOW'  # before CheckpointHook, so that checkpoints carry the counts

    def __init__(
        self, *, max_share: float = 0.01, max_count: int = 10, interval: int = 200
    ) -> None:
        self.max_share = max_share
        self.max_count = max_count
        self.interval = interval
        self._new: dict[str, str] = {}  # file -> reason, since the ranks were compared
        self._epoch: dict[str, str] = {}
        self._unnamed = 0  # files of this epoch that the checkpoint counted, and did not name
        self._named: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Take over the counts of the checkpoint, if one was resumed, and the names of the file."""
        saved = runner.message_hub.runtime_info.get(_KEY, {})
        self._epoch = dict(saved.get('epoch', {}))
        self._unnamed = saved.get('count', len(self._epoch)) - len(self._epoch)
        self._named = set(saved.get('named', []))
        file = Path(runner.work_dir, _FILE)
        if saved and file.exists():
            lines = file.read_text('utf-8', 'surrogateescape').splitlines()
            self._named |= {line.split('\t')[0] for line in lines}

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | None = None
    ) -> None:
        """Note the failures behind this batch (the model may change its data samples)."""
        for sample in (data_batch or {}).get('data_samples', ()):
            self._new.update(dict(sample.metainfo.get('broken', ())))

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Compare the ranks every ``interval`` iterations."""
        if self.every_n_inner_iters(batch_idx, self.interval):
            self._compare(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Log the number of broken videos, and count from zero again."""
        self._compare(runner)
        if self._count:
            runner.logger.warning(
                f'epoch {runner.epoch + 1}: {self._count} broken videos were replaced by '
                f'other samples'
            )
        self._epoch, self._unnamed = {}, 0
        self._save(runner)

    @property
    def _count(self) -> int:
        return len(self._epoch) + self._unnamed

    def _compare(self, runner: Runner) -> None:
        for failures in all_gather_object(self._new):
            self._epoch.update(failures)
        self._new = {}
        self._name(runner, sorted(self._epoch.keys() - self._named))
        self._save(runner)
        self._check(_count_samples(runner))

    def _name(self, runner: Runner, names: list[str]) -> None:
        """Write names that are new to the file, and the first 200 of the run to the log."""
        for name in names[: max(0, _MOST - len(self._named))]:
            runner.logger.warning(f'broken video, replaced by another: {name}: {self._epoch[name]}')
        file = Path(runner.work_dir, _FILE)
        if len(self._named) <= _MOST < len(self._named) + len(names):
            runner.logger.warning(f'more than {_MOST} broken videos: {file} names them all')
        self._named.update(names)
        if names and is_main_process():
            with open(file, 'a', encoding='utf-8', errors='surrogateescape') as output:
                output.writelines(f'{name}\t{self._epoch[name]}\n' for name in names)

    def _save(self, runner: Runner) -> None:
        """Put the counts, and no more than 200 names, where checkpoints find them."""
        first = dict(list(self._epoch.items())[:_MOST])
        named = sorted(self._named)[:_MOST]
        runner.message_hub.update_info(_KEY, dict(epoch=first, count=self._count, named=named))

    def _check(self, samples: int) -> None:
        if self._count <= self.max_count or self._count <= self.max_share * samples:
            return
        listed = '\n'.join(f'  {name}: {reason}' for name, reason in list(self._epoch.items())[:50])
        raise RuntimeError(
            f'{self._count} of {samples} videos are broken, more than {self.max_share:.0%} and '
            f'more than {self.max_count}; repair or remove them, or raise max_share of '
            f'mmstan.BrokenVideos. {_FILE} in the work dir names all; the first:\n{listed}'
        )


def _count_samples(runner: Runner) -> int:
    """Count the samples of an epoch over all ranks, at most those of the data set."""
    loader = runner.train_dataloader
    if isinstance(loader.dataset, IterableDataset):
        return len(loader.dataset) * get_world_size()  # type: ignore[arg-type]
    sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    return min(len(sampler) * get_world_size(), len(loader.dataset))
