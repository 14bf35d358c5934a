"""Count, name and refuse scores and features that are NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mmstan.evaluation.scores import Blocks
from mmstan.wording import name_a_few


def holds_nan(value: Any) -> bool:
    """Whether a tensor, or any tensor in a tuple or dict, has a NaN or plus infinity.

    Minus infinity is allowed: it is the score of a class that is ruled out.
    """
    if isinstance(value, Tensor):
        return bool((value.isnan() | value.isposinf()).any())
    if isinstance(value, Mapping):
        value = value.values()
    return isinstance(value, Iterable) and not isinstance(value, str) and any(map(holds_nan, value))


def sample_name(sample: Mapping[str, Any]) -> str:
    """The file of a data sample, or the name of its video; ``''`` if neither is known."""
    return str(sample.get('filename') or sample.get('video_id') or '')


def refuse_nan(names: Iterable[str], total: int, *, what: str) -> None:
    """Raise ValueError if there are ``names`` of samples with NaN in their scores or features.

    Comparisons would hide them: the argmax of NaN is the first class, and no candidate ranks above
    a NaN score.

    Args:
        names: Names of the samples with NaN, ``''`` if unknown.
        total: Number of all samples.
        what: ``'the scores'`` or ``'the features'``, for the message.
    """
    names = list(names)
    named = list(dict.fromkeys(filter(None, names)))  # a sampler repeats samples to fill the ranks
    count = min(len(named) + names.count(''), total)
    if not count:
        return
    cause = (
        'the weights may be NaN, or too large for half precision: test an earlier checkpoint'
        if count == total
        else 'look at these videos'
    )
    listed = name_a_few(named) or 'their files are not known'
    raise ValueError(
        f'{what} of {count} of {total} videos are NaN or infinite, so there is no metric: '
        f'{listed}; {cause}, or test in float32'
    )


class WithoutNaN:
    """Blocks of scores that raise an error at the first NaN; the features had none.

    Args:
        blocks: The scores (A, B).
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks, self.shape = blocks, blocks.shape

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        """``rows`` and their scores (len(rows), B)."""
        for rows, block in self.blocks:
            count = int(torch.count_nonzero(block.isnan()))
            if count:
                raise ValueError(
                    f'{count} scores of the captions {rows.start} to {rows.stop - 1} are NaN, '
                    'though the features are numbers: the interaction overflows; lower its '
                    'temperature or scale, or test in float32'
                )
            yield rows, block
