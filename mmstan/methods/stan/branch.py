"""STAN's branch: layers that read the tower at several levels and see across frames.

Letters: N clips, T frames, L patches, C width, K layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal, cast

import numpy as np
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from mmstan.methods.stan.layer import BranchTokens, STANLayer
from mmstan.models.layers.time_table import (
    TimeInterpolation,
    stretch_when_loaded,
    take_first_positions,
)
from mmstan.models.towers import BaseImageTower
from mmstan.registry import MODELS

Levels = Sequence[int | None]
FirstClass = Literal['embedded', 'mean']
IntraFrame = Literal['frame', 'joint', 'none']
ClassToken = Literal['tower', 'own']
# BT-Adapter's factors: an entry of a gate moves little, and its sigmoid much.
_LEVEL_FACTOR, _OUTPUT_FACTOR = 100.0, 10000.0


def call(function: Callable[..., Any], *args: Any) -> Any:
    """Call ``function(*args)``."""
    return function(*args)


class STANBranch(nn.Module):
    """K layers, each fed by a level of the tower (STAN Eq. 3-6).

    Args:
        tower: The tower that the branch reads. Its blocks are copied; no reference is kept.
        levels: For each layer the tower block (from 1) whose output it reads, or None.
        cross_frame: Config of the cross-frame modules, or None.
        intra_frame: ``'frame'``, ``'joint'`` or ``'none'``, see :class:`STAN`.
        max_frames: Length of the time table. When a checkpoint is loaded, a shorter table is
            stretched, and of a longer one the first rows are taken, which clips read.
        time_interpolation: See :class:`STAN`.
        drop_path: Rate of the last layer; the rates rise linearly from 0.
        dropout: Dropout after the positions (STAN Eq. 4).
        level_projection: Project the tower's tokens before they are added (STAN Eq. 5-6).
        first_class: See :class:`STAN`.
        own_positions: See :class:`STAN`.
        intra_first: See :class:`STAN`.
        class_token: See :class:`STAN`.
        gates: See :class:`STAN`.
    """

    def __init__(
        self,
        tower: BaseImageTower,
        *,
        levels: Levels,
        cross_frame: Mapping[str, Any] | None,
        intra_frame: IntraFrame,
        max_frames: int,
        time_interpolation: TimeInterpolation | None,
        drop_path: float,
        dropout: float,
        level_projection: bool,
        first_class: FirstClass,
        own_positions: bool,
        intra_first: bool,
        class_token: ClassToken,
        gates: bool,
    ) -> None:
        super().__init__()
        c = tower.width
        self.levels = tuple(levels)
        self.copied = choose_copied_blocks(self.levels, len(tower.blocks))
        self.time_interpolation = time_interpolation
        self.time_embedding = nn.Parameter(torch.empty(max_frames, c))
        nn.init.normal_(self.time_embedding)  # as released, by the default of torch.nn.Embedding
        stretch_when_loaded(self, 'time_embedding', cut=True)
        self.first_class, self.grid = first_class, tower.own_grid
        self.positions = None
        if own_positions:
            self.positions = nn.Parameter(tower.positions(self.grid)[1:].detach().clone())
        self.class_token = nn.Parameter(torch.zeros(c)) if class_token == 'own' else None
        # The sigmoid of 0: a gate starts as the average of the tokens that it mixes.
        self.level_gate = nn.Parameter(torch.zeros(c)) if gates else None
        self.output_gate = nn.Parameter(torch.zeros(c)) if gates else None
        self.dropout = nn.Dropout(dropout)
        projected = self.levels[1:] if level_projection else ()
        self.projections = nn.ModuleDict(
            {
                str(k): _build_identity(c)
                for k, level in enumerate(projected, 1)
                if level is not None
            }
        )
        self.layers = nn.ModuleList()
        for rate, number in zip(np.linspace(0, drop_path, len(self.levels)), self.copied):
            arguments = dict(width=c, heads=tower.heads, drop_path=float(rate))
            module = MODELS.build({**cross_frame, **arguments}) if cross_frame else None
            block = None if intra_frame == 'none' else deepcopy(tower.blocks[number - 1])
            layer = STANLayer(
                module,
                block,
                joint=intra_frame == 'joint',
                intra_first=intra_first,
                drop_path=arguments['drop_path'],
            )
            self.layers.append(layer.requires_grad_(True))

    def shard_units(self) -> list[nn.Module]:
        """List the layers, as :meth:`Tower.shard_units` lists blocks."""
        return list(self.layers)

    def copy_blocks(self, tower: BaseImageTower) -> None:
        """Load ``tower``'s weights into their copies: intra-frame modules, own positions."""
        if self.positions is not None:
            with torch.no_grad():
                self.positions.copy_(tower.positions(self.grid)[1:])
        for layer, number in zip(self.layers, self.copied):
            if layer.block is not None:
                cast(nn.Module, layer.block).load_state_dict(tower.blocks[number - 1].state_dict())

    def forward(
        self,
        outputs: Mapping[int, Tensor],
        embedding: tuple[Tensor, Tensor],
        grid: tuple[int, int],
        *,
        only_cls: bool = False,
        run: Callable[..., Any] = call,
    ) -> BranchTokens:
        """Tower tokens -> the branch's class token (N, 1, C) and patches (N, T, L, C).

        Args:
            outputs: Tokens (N, T, 1 + L, C) after each tower block in :attr:`levels`.
            embedding: The tower's class embedding (C) and position embeddings (1 + L, C).
            grid: Rows and columns of patches.
            only_cls: Do not compute the last layer's patches.
            run: Function that calls a layer; activation checkpointing is one.
        """
        cls, patches = self._start(outputs[cast(int, self.levels[0])], *embedding, grid)
        for k, (layer, level) in enumerate(zip(self.layers, self.levels)):
            if k > 0 and level is not None:  # STAN Eq. 5-6: add the tokens of the next level
                x = outputs[level]
                x = self.projections[str(k)](x) if str(k) in self.projections else x
                # The clip's class token takes the mean of the frames' class tokens.
                cls = self._add_level(cls, x[:, :, 0].mean(dim=1, keepdim=True))
                patches = self._add_level(patches, x[:, :, 1:])
            is_last = k == len(self.layers) - 1
            cls, patches = run(layer, cls, patches, grid, only_cls and is_last)
        return BranchTokens(cls, patches)

    def _add_level(self, branch: Tensor, level: Tensor) -> Tensor:
        """Add a level's tokens to the branch's, or mix both by the gate (BT-Adapter)."""
        if self.level_gate is None:
            return branch + level
        return mix_by_gate(branch, level, _LEVEL_FACTOR * self.level_gate)

    def add_to_tower(self, tower: Tensor, branch: Tensor) -> Tensor:
        """Tokens of the tower and of the branch (..., C) -> their sum (Mug-STAN Eq. 10).

        With gates it is the mixture by the output gate (BT-Adapter).
        """
        if self.output_gate is None:
            return tower + branch
        return mix_by_gate(branch, tower, _OUTPUT_FACTOR * self.output_gate)

    def _start(
        self, x: Tensor, cls_embedding: Tensor, positions: Tensor, grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Tower tokens (N, T, 1 + L, C) -> the first layer's input (STAN Eq. 3-4).

        Tables are added in the tokens' type: under autocast, one of float32 would make the whole
        branch float32.
        """
        positions, times = positions.to(x.dtype), self.times(x.shape[1]).to(x.dtype)
        # Eq. 3: the frames' mean class token. As released, half of it and of the class token of the
        # tower's input.
        cls = x[:, :, 0].mean(dim=1, keepdim=True)
        if self.first_class == 'embedded':
            own = cls_embedding if self.class_token is None else self.class_token
            cls = (cls + own.to(x.dtype) + positions[0]) / 2
        # Eq. 4: space positions (L, C) in every frame, time positions (T, 1, C) on all its patches.
        space = positions[1:] if self.positions is None else self._fit_positions(grid)
        patches = x[:, :, 1:] + space.to(x.dtype) + times[:, None]
        return self.dropout(cls), self.dropout(patches)

    def _fit_positions(self, grid: tuple[int, int]) -> Tensor:
        """The branch's own positions of patches for ``grid``, (L, C)."""
        table = cast(Tensor, self.positions)
        if grid == self.grid:
            return table
        return resample_abs_pos_embed(
            table[None], list(grid), list(self.grid), num_prefix_tokens=0
        )[0]

    def times(self, t: int) -> Tensor:
        """Time embeddings of ``t`` frames, (T, C).

        Raises:
            ValueError: The table is shorter, and ``time_interpolation`` is None.
        """
        return take_first_positions(self.time_embedding, t, interpolation=self.time_interpolation)


def mix_by_gate(branch: Tensor, tower: Tensor, gate: Tensor) -> Tensor:
    """``(1 - g) branch + g tower`` with ``g = sigmoid(gate)``, a share for each channel (C)."""
    share = gate.sigmoid()
    return (1 - share).to(branch.dtype) * branch + share.to(tower.dtype) * tower


def choose_copied_blocks(levels: Levels, depth: int) -> tuple[int, ...]:
    """Tower blocks (from 1) that the intra-frame modules start from.

    A layer copies the block whose output it reads. A layer without a level copies the block after
    the previous layer's. If the last layer's would be beyond the tower (posterior), all move back
    by the same number of blocks, so that the last layer copies the last block.

    >>> choose_copied_blocks((6, 8, 10, 12), 12), choose_copied_blocks((12, None, None, None), 12)
    ((6, 8, 10, 12), (9, 10, 11, 12))
    """
    copied: list[int] = []
    for level in levels:
        copied.append(copied[-1] + 1 if level is None else level)
    beyond = max(0, copied[-1] - depth)
    return tuple(number - beyond for number in copied)


def _build_identity(width: int) -> nn.Linear:
    """A linear layer C -> C without a bias that starts as the identity."""
    layer = nn.Linear(width, width, bias=False)
    nn.init.eye_(layer.weight)
    return layer
