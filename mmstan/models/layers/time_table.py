"""Tables with one learned vector a frame.

Letters: T frames, D width.
"""

from __future__ import annotations

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
        if t == len(self.embedding):
            return self.embedding
        self.refuse_unless_interpolated(f'{t} sparse frames', t)
        return stretched(self.embedding, t)

    def refuse_unless_interpolated(self, what: str, t: int) -> None:
        """Raise for a length ``t`` that only interpolation can serve."""
        if self.interpolation is None:
            raise ValueError(
                f'{what}, but num_frames={len(self.embedding)}; sample that many, set '
                f"num_frames={t}, or stretch the tables with time_interpolation='linear'"
            )


def stretched(table: Tensor, t: int) -> Tensor:
    """A table (T, D) -> (t, D), linearly interpolated."""
    return F.interpolate(table.T[None], size=t, mode='linear', align_corners=False)[0].T


def _stretch_loaded(module: TimeTable, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Fit a checkpoint's table to this one, before it is loaded."""
    name, t = f'{prefix}embedding', len(module.embedding)
    table = state.get(name)
    if table is None or len(table) == t:
        return
    module.refuse_unless_interpolated(f'{name} of the checkpoint has {len(table)} frames', t)
    state[name] = stretched(table, t).contiguous()
    print_log(f'{name}: {len(table)} frames -> {t}, interpolated', 'current')


def first_positions(positions: Tensor, t: int) -> Tensor:
    """The positions of ``t`` frames, (t, D).

    Raises:
        ValueError: There are fewer.
    """
    if t > len(positions):
        raise ValueError(f'{t} frames, but max_frames={len(positions)}; sample fewer, or raise it')
    return positions[:t]
