"""Checks of STAN's options: which go together, which fit a tower; and levels of another tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmstan.methods.stan.branch import ClassToken, IntraFrame, Levels
from mmstan.wording import check_choice


def check_levels(levels: Levels, depth: int) -> None:
    """Raise ValueError unless ``levels`` rise and lie in a tower of ``depth`` blocks."""
    if not isinstance(levels, Sequence):
        raise ValueError(f'levels={levels!r}: a sequence of tower blocks, e.g. (9, 10, 11, 12)')
    read = [level for level in levels if level is not None]
    if not levels or levels[0] is None or read != sorted(set(read)):
        raise ValueError(
            f'levels={tuple(levels)}: the first layer reads a tower block, and the blocks rise, '
            f'e.g. {tuple(range(max(1, depth - 3), depth + 1))}'
        )
    if not 1 <= read[0] <= read[-1] <= depth:
        raise ValueError(f'levels={tuple(levels)}: the tower has the blocks 1 to {depth}')
    if len(levels) > depth:
        raise ValueError(f'levels={tuple(levels)}: more layers than the tower has blocks to copy')


def check_bt_adapter(class_token: str, gates: bool, first_class: str, networks: int) -> None:
    """Raise ValueError where BT-Adapter's options meet options that it does not have."""
    check_choice('class_token', class_token, ClassToken)
    if class_token == 'own' and first_class != 'embedded':
        raise ValueError(
            f"class_token='own' is read with first_class='embedded' alone, not '{first_class}'"
        )
    if networks != 1 and (class_token == 'own' or gates):
        raise ValueError(
            f"networks={networks}: class_token='own' and gates=True are BT-Adapter's, which has "
            'one network'
        )


def check_modules(cross_frame: Mapping[str, Any] | None, intra_frame: str) -> None:
    """Raise ValueError if the two modules of a layer exclude each other."""
    check_choice('intra_frame', intra_frame, IntraFrame)
    if intra_frame == 'joint' and cross_frame is not None:
        raise ValueError(
            "intra_frame='joint' already sees all frames; it goes with cross_frame=None"
        )
    if intra_frame == 'none' and cross_frame is None:
        raise ValueError("intra_frame='none' and cross_frame=None leave the branch empty")


def shift_levels(levels: Sequence[int | None], depth: int, layers: int) -> tuple[int | None, ...]:
    """Levels in ``depth`` blocks -> levels in ``layers`` blocks, at the same distance from the end.

    >>> shift_levels((9, 10, 11, 12), 12, 4), shift_levels((3, 6, 9, 12), 12, 4)
    ((1, 2, 3, 4), (1, 4))
    >>> shift_levels((9, None), 12, 4)
    (1, None)
    """
    found = [level if level is None else max(1, level - depth + layers) for level in levels]
    return tuple(x for i, x in enumerate(found) if x is None or x not in found[:i])
