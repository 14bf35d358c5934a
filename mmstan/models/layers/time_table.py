"""Time tables: one learned vector a frame, stretched or refused for clips of another length.

Letters: T frames, D width.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from torch import Tensor, nn

TimeInterpolation = Literal['linear']


class TimeTable(nn.Module):
    """A learned vector for each of T frames, (T, D).

    Args:
        num_frames: T.
        width: D.
        interpolation: ``'linear'`` stretches the table for clips of another length, and a
            checkpoint's table to this length when it is loaded. None refuses both.
    """

    def __init__(
        self, num_frames: int, width: int, *, interpolation: TimeInterpolation | None
    ) -> None:
        super().__init__()
        self.interpolation = interpolation
        self.embedding = nn.Parameter(torch.empty(num_frames, width))
        nn.init.trunc_normal_(self.embedding, std=0.02)
        self.register_load_state_dict_pre_hook(_stretch_loaded)

    def forward(self, t: int) -> Tensor:
        """The vectors of ``t`` frames, (t, D).

        Raises:
            ValueError: The table has another length and no interpolation was asked for.
        """
        return fit_time_table(
            self.embedding, t, interpolation=self.interpolation, frames='sparse frames'
        )


def _stretch_loaded(module: TimeTable, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Stretch a checkpoint's table to the module's length, before it is loaded."""
    stretch_loaded_table(
        state, f'{prefix}embedding', len(module.embedding), interpolation=module.interpolation
    )


def stretch_time_table(
    table: Tensor, t: int, *, mode: Literal['linear', 'nearest'] = 'linear'
) -> Tensor:
    """A table (T, D) -> (t, D), interpolated over time.

    >>> stretch_time_table(torch.tensor([[0.0], [4.0]]), 4).flatten()
    tensor([0., 1., 3., 4.])
    >>> stretch_time_table(torch.tensor([[0.0], [4.0]]), 4, mode='nearest').flatten()
    tensor([0., 0., 4., 4.])
    """
    # F.interpolate refuses `align_corners` for the nearest neighbour, whatever its value.
    corners = dict(align_corners=False) if mode == 'linear' else {}
    return F.interpolate(table.T[None], size=t, mode=mode, **corners)[0].T


def fit_time_table(
    table: Tensor, t: int, *, interpolation: TimeInterpolation | None, frames: str = 'frames'
) -> Tensor:
    """Table (T, D) for clips of T frames -> table (t, D) for clips of ``t`` frames.

    Args:
        table: The table.
        t: Frames of a clip.
        interpolation: None refuses clips of another length.
        frames: Word for the frames in the error message.

    Raises:
        ValueError: T is not ``t``, and ``interpolation`` is None.
    """
    if t == len(table):
        return table
    if interpolation is None:
        raise ValueError(_describe_wrong_length(f'{t} {frames}', t, len(table)))
    return stretch_time_table(table, t)


def stretch_when_loaded(
    module: nn.Module,
    name: str,
    *,
    mode: Literal['linear', 'nearest'] = 'linear',
    first: int = 0,
    cut: bool = False,
) -> None:
    """Let ``module`` stretch a checkpoint's time table of another length, and log it.

    Args:
        module: Owner of the table.
        name: Its parameter (..., T, D); all dimensions before T have size 1.
        mode: ``'nearest'`` where the module stretches its table so for clips of another length.
        first: Rows before the table that belong to no frame; they stay.
        cut: Take the first rows of a longer table, where clips of T frames read the first T
            (:func:`take_first_positions`): the others may never have been trained.
    """
    module.register_load_state_dict_pre_hook(
        partial(_stretch_rows, name=name, mode=mode, first=first, cut=cut)
    )


def _stretch_rows(
    module: nn.Module,
    state: dict[str, Tensor],
    prefix: str,
    *_: Any,
    name: str,
    mode: Literal['linear', 'nearest'],
    first: int,
    cut: bool,
) -> None:
    table, own = state.get(prefix + name), getattr(module, name)
    # Anything else that does not fit is an error of the loading itself.
    if not isinstance(table, Tensor) or table.ndim != own.ndim:
        return
    theirs, rows = table.shape[-2], own.shape[-2]
    if theirs in (rows, first):
        return
    flat = table.reshape(theirs, -1)
    if cut and theirs > rows:
        fitted, change = flat[first:rows], 'the first are taken'
    else:
        fitted = stretch_time_table(flat[first:], rows - first, mode=mode)
        change = f'interpolated ({mode})'
        if cut:  # a clip of the old length would read rows that belong to its beginning
            change += f'; for clips of {theirs - first} frames keep max_frames={theirs - first}'
    state[prefix + name] = torch.cat([flat[:first], fitted]).reshape(*own.shape[:-1], -1)
    frames = f'{theirs - first} frames -> {rows - first}'
    print_log(f'{prefix}{name} of the checkpoint: {frames}, {change}', 'current')


def stretch_loaded_table(
    state: dict[str, Tensor], name: str, t: int, *, interpolation: TimeInterpolation | None
) -> None:
    """Give the table ``name`` (..., T, D) of a checkpoint ``t`` frames, before it is loaded.

    Args:
        state: The checkpoint's state dict; it is changed.
        name: Key of the table, which may be missing.
        t: Frames of the model's own table.
        interpolation: None refuses a table of another length.

    Raises:
        ValueError: The table has another length, and ``interpolation`` is None.
    """
    table = state.get(name)
    if table is None or table.shape[-2] == t:
        return
    theirs = table.shape[-2]
    if interpolation is None:
        raise ValueError(
            _describe_wrong_length(f'{name} of the checkpoint has {theirs} frames', theirs, t)
        )
    # (..., T, D): all dimensions before T have size 1, as in X-CLIP's (1, T, D).
    stretched = stretch_time_table(table.reshape(theirs, -1), t)
    state[name] = stretched.reshape(*table.shape[:-2], t, -1).contiguous()
    print_log(f'{name}: {theirs} frames -> {t}, interpolated', 'current')


def _describe_wrong_length(found: str, t: int, own: int) -> str:
    return (
        f'{found}, but num_frames={own}; sample that many, set num_frames={t}, or stretch the '
        "time table with time_interpolation='linear'"
    )


def take_first_positions(
    positions: Tensor, t: int, *, interpolation: TimeInterpolation | None = None
) -> Tensor:
    """Positions (t, D) of the first ``t`` frames of a table (max_frames, D).

    Args:
        positions: The table.
        t: Frames of a clip.
        interpolation: ``'linear'`` stretches the table where ``t`` is more than ``max_frames``.

    Raises:
        ValueError: ``t`` is more than ``max_frames``, and ``interpolation`` is None.
    """
    if t <= len(positions):
        return positions[:t]
    if interpolation is None:
        raise ValueError(
            f'{t} frames, but max_frames={len(positions)}; sample fewer, raise it, or, where the '
            "model has the option, stretch the time table with time_interpolation='linear'"
        )
    return stretch_time_table(positions, t)
