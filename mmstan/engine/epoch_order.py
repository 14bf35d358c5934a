"""The samples and batches of an epoch, and the place at which a resumed run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Order = dict[str, Any]
"""``batches`` an epoch, and the settings that determine them: seed, samples (count), fingerprint,
global_batch, and the settings of a ``ShardSampler``. Where the samples of a step depend on the
number of processes, batch_size and world_size stand in the place of global_batch, their product, as
they do in older checkpoints. These also lack some of the others."""


@dataclass
class Place:
    """Where a run goes on.

    Attributes:
        iteration: Iterations of the run so far, in epochs of this run's length.
        seen: Batches of the epoch that are passed over.
        message: The differences from the checkpoint and their effect; None without any.
    """

    iteration: int
    seen: int
    message: str | None = None


def find_place(saved: Order, now: Order, *, epoch: int, iteration: int) -> Place:
    """Find where a run goes on from a checkpoint of ``epoch`` epochs and ``iteration`` iterations.

    It goes on in mid-epoch if the batches are the same as in the checkpoint; else the epoch begins
    again. An epoch is over once its last batch was seen, also if the new epochs are longer.

    Args:
        saved: The order of the checkpoint; empty if another training loop wrote it.
        now: The order of this run.
        epoch: Finished epochs.
        iteration: Iterations so far, in epochs of the checkpoint's length.
    """
    if 'global_batch' in now and saved.get('batch_size') and 'global_batch' not in saved:
        saved = {**saved, 'global_batch': saved['batch_size'] * saved['world_size']}
    batches, length = now['batches'], saved.get('batches')
    changes = _name_changes(saved, now)
    if length is None:
        return _place_without_order(now, epoch, iteration)
    seen = iteration - epoch * length
    over = seen == length
    # Between two epochs other batches do no harm, as long as an epoch keeps its length.
    stays = length == batches and (over or not seen or not changes)
    if stays and not changes:
        return Place(iteration, seen)
    since = (
        'the batches are not those of the checkpoint'
        if length == batches
        else f'an epoch has {batches} iterations, and had {length} when the checkpoint was written'
    )
    goes_on = (
        f'training goes on behind epoch {epoch + over}'
        if over or not seen
        else f'epoch {epoch + 1} begins again, of which {seen} of {length} iterations were done'
    )
    message = f'{since} ({changes or "drop_last or the sampler changed"}): {goes_on}'
    if stays:
        return Place(iteration, seen, message)
    return Place((epoch + over) * batches, batches if over else 0, message)


def _place_without_order(now: Order, epoch: int, iteration: int) -> Place:
    batches = now['batches']
    if iteration == epoch * batches:
        return Place(iteration, 0)
    message = (
        f'the checkpoint, of {epoch} epochs and {iteration} iterations, does not say how long an '
        f'epoch was (another training loop wrote it), and one has {batches} iterations: '
        f'epoch {epoch + 1} begins with its first'
    )
    return Place(epoch * batches, 0, message)


def _name_changes(saved: Order, now: Order) -> str:
    """Name the changed settings: ``batch_size 8 -> 4, seed 0 -> 1``."""
    keys = [k for k in now if k != 'batches' and saved.get(k, now[k]) != now[k]]
    named = [f'{key} {saved[key]} -> {now[key]}' for key in keys if key != 'fingerprint']
    if 'fingerprint' in keys and 'samples' not in keys:
        named.append('the annotations have other samples, or the same in another order')
    return ', '.join(named)
