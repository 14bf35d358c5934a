"""Scores and features that are no numbers: counted, named and refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from mmstan.evaluation.scores import Blocks
from mmstan.wording import name_a_few


def holds_nan(value: Any) -> bool:
    """Whether a tensor, or one in a tuple or dict, has a value that is NaN or plus infinity.

    Minus infinity is a score like any other: of a class that is ruled out.
    """
    if isinstance(value, Tensor):
        return bool((value.isnan() | value.isposinf()).any())
    if isinstance(value, Mapping):
        value = value.values()
    return isinstance(value, Iterable) and not isinstance(value, str) and any(map(holds_nan, value))


def sample_name(sample: Mapping[str, Any]) -> str:
    """The file of a data sample, or the name of its video."""
    return str(sample.get('filename') or sample.get('video_id') or 'a video without a file name')


def refuse_nan(names: Iterable[str], total: int, *, what: str) -> None:
    """Raise ValueError if there are ``names``, those of samples whose ``what`` are no numbers.

    Comparisons hide them: the largest of NaNs is the first class, and no rank is above theirs.
    """
    bad = list(dict.fromkeys(names))
    if not bad:
        return
    cause = (
        'the weights may be NaN, or too large for half precision: test an earlier checkpoint'
        if len(bad) >= total
        else 'look at these videos'
    )
    raise ValueError(
        f'{what} of {len(bad)} of {total} videos are NaN or infinite, so there is no metric: '
        f'{name_a_few(bad)}; {cause}, or test in float32'
    )


class WithoutNaN:
    """Blocks of scores, refused where one is NaN though the features are numbers.

    Args:
        blocks: The scores.
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
