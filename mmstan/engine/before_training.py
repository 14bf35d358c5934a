"""Checks of a training run before it begins, for settings under which it cannot learn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim.scheduler.param_scheduler import INF
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from mmstan.compat.state_dicts import unwrap_model
from mmstan.datasets.reliable import list_wrapped
from mmstan.datasets.shards import MixedClips, ShardSampler
from mmstan.engine.detection_data import check_detection_data
from mmstan.models.video_text import VideoTextModel
from mmstan.registry import HOOKS, type_name


def check_before_training(loop: EpochBasedTrainLoop) -> None:
    """Check the model, the batches and the schedule of a run that is about to begin.

    Raises:
        ValueError: An epoch has no iteration, no parameter is trained, a contrastive loss gets one
            pair a batch, the weights of a mixture are not read, a warm-up is so short that it never
            ends, or boxes and labels of detection do not fit videos and model.
    """
    model = loop.runner.model
    # FlexibleRunner builds its model behind the loop, which checks it when it begins.
    if not isinstance(model, nn.Module):
        return
    contrastive = isinstance(unwrap_model(model), VideoTextModel)
    _check_batches(loop, contrastive=contrastive)
    if contrastive:
        _warn_of_accumulation(loop)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(
            f'{type(unwrap_model(model)).__name__} has no parameter to train: all are frozen; set '
            'frozen=False of the part that is to learn'
        )
    for name, scheduler in _list_schedulers(loop.runner.param_schedulers):
        _check_scheduler(name, scheduler, loop)
    check_detection_data(loop)


@HOOKS.register_module()
class AlikeCaptions(Hook):
    """Warns once of a batch with equal captions, from which nothing can be learned.

    A contrastive loss of N pairs with the same caption stays at log N. :class:`EpochTrainLoop`
    registers this hook.
    """

    def __init__(self) -> None:
        self._warned = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Look at the captions of a batch."""
        samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
        captions = [tuple(sample.get('captions', ())) for sample in samples or ()]
        if self._warned or len(captions) < 2 or len(set(captions)) > 1 or not captions[0]:
            return
        self._warned = True
        runner.logger.warning(
            f'epoch {runner.epoch + 1}, batch {batch_idx + 1}: all {len(captions)} captions are '
            f"'{captions[0][0]}'; a contrastive loss cannot learn from such a batch. Are the "
            'captions read rightly, and is the sampler shuffling? (said once)'
        )


def _check_batches(loop: EpochBasedTrainLoop, *, contrastive: bool) -> None:
    loader, processes = loop.dataloader, get_world_size()
    batch_size = getattr(loader.batch_sampler, 'batch_size', loader.batch_size)
    if len(loader) == 0:
        samples = len(loader.dataset)
        remedy = (
            f'; no batch of {batch_size} is full on {processes} process(es): lower '
            'train_dataloader.batch_size, or set drop_last=False'
        )
        raise ValueError(
            f'an epoch has no iteration: train_dataloader has {samples} samples'
            f'{remedy if samples else ""}'
        )
    sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    _check_weights(loader.dataset, sampler)
    total = batch_size * processes
    if isinstance(sampler, ShardSampler) and total > len(loader.dataset):
        raise ValueError(
            f'a batch of {batch_size} on each of {processes} process(es) is {total} samples, and '
            f'the data set has {len(loader.dataset)}: a sample would be its own negative; lower '
            'train_dataloader.batch_size'
        )
    if contrastive and batch_size == 1 and processes == 1:
        raise ValueError(
            'train_dataloader.batch_size=1 on one process gives a contrastive loss a single pair, '
            'of which it is 0 whatever the model does; use batches of 2 or more, as many as fit'
        )


def _check_weights(dataset: Any, sampler: Any, *, outermost: bool = True) -> None:
    """Refuse a mixture with weights that no sampler reads: it would be mixed by sizes."""
    weights = dataset.weights if isinstance(dataset, MixedClips) else None
    if weights is not None and not (outermost and isinstance(sampler, ShardSampler)):
        raise ValueError(
            f'weights={weights.tolist()} of mmstan.MixedClips are read by mmstan.ShardSampler, of '
            f'train_dataloader.dataset itself, and train_dataloader.sampler is '
            f'{type(sampler).__name__}: set train_dataloader.sampler='
            "dict(type='mmstan.ShardSampler') without a wrapper around the mixture, or remove "
            'weights'
        )
    for part in list_wrapped(dataset):
        _check_weights(part, sampler, outermost=False)


def _warn_of_accumulation(loop: EpochBasedTrainLoop) -> None:
    wrapper: Any = loop.runner.optim_wrapper
    configured = wrapper.get('accumulative_counts', 1) if isinstance(wrapper, Mapping) else 1
    counts = getattr(wrapper, '_accumulative_counts', configured)
    if counts > 1:
        loop.runner.logger.warning(
            f'optim_wrapper.accumulative_counts={counts} adds no negatives to a contrastive loss: '
            'each of these batches is compared within itself. For a larger batch in the same '
            'memory raise train_dataloader.batch_size and set model.micro_batch'
        )


def _list_schedulers(schedulers: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the configs of schedulers with their keys, also of several optimisers."""
    if isinstance(schedulers, Mapping) and 'type' not in schedulers:
        for optimizer, own in schedulers.items():
            for name, scheduler in _list_schedulers(own):
                yield name.replace('param_scheduler', f'param_scheduler.{optimizer}', 1), scheduler
    elif isinstance(schedulers, (list, tuple)):
        for index, scheduler in enumerate(schedulers):
            if isinstance(scheduler, Mapping):
                yield f'param_scheduler.{index}', scheduler
    elif isinstance(schedulers, Mapping):
        yield 'param_scheduler', schedulers


def _check_scheduler(name: str, cfg: Mapping[str, Any], loop: EpochBasedTrainLoop) -> None:
    begin, end = cfg.get('begin', 0), cfg.get('end', INF)
    if end >= INF:
        return
    batches, unit, total = len(loop.dataloader), 'epoch', loop.max_epochs
    if cfg.get('convert_to_iter_based'):
        begin, end = int(begin * batches), int(end * batches)
    if cfg.get('convert_to_iter_based') or not cfg.get('by_epoch', True):
        unit, total = 'iteration', loop.max_iters
    kind, start = type_name(cfg['type']), cfg.get('start_factor', 1 / 3)
    warms_up = kind.startswith('Linear') and start < cfg.get('end_factor', 1)
    # MMEngine's first step is the start factor and its last the end factor: it needs both.
    if end - begin < (2 if warms_up else 1):
        stays = f' and would leave the rate at {start:g} times its value' if warms_up else ''
        raise ValueError(
            f'{name} ({kind}) is too short, from {unit} {begin} to {end} in epochs of {batches} '
            f'iterations{stays}; let it end later, or remove it'
        )
    if warms_up and end > total:
        loop.runner.logger.warning(
            f'{name} ({kind}) warms up until {unit} {end}, but training ends at {total}: the full '
            'learning rate is never reached'
        )
