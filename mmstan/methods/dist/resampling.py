"""The two interactions of DiST's encoders, which resample time by gamma (DiST Eq. 5-6, Table 2).

Letters: N clips, T sparse frames, g gamma, L = h x w patches, D integration width, d temporal
width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmstan.models.layers.time_table import TimeInterpolation, TimeTable

Upsampling = Literal['nearest', 'trilinear', 'deconv']
Downsampling = Literal['conv', 'avg', 'max']


class _LinearThenStretch(nn.Module):
    """A linear layer on every sparse token, then interpolation over time."""

    def __init__(
        self, width: int, temporal_width: int, gamma: int, *, mode: Literal['nearest', 'trilinear']
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(width, temporal_width)
        self.gamma, self.mode = gamma, mode

    def forward(self, patches: Tensor) -> Tensor:
        """Patches (N, T, h, w, D) -> (N, d, g*T, h, w)."""
        # The linear layer comes first, on g times fewer frames: (N, d, T, h, w).
        u = self.linear(patches).movedim(-1, 1)
        if self.mode == 'nearest':
            return u.repeat_interleave(self.gamma, dim=2)
        size = [self.gamma * u.shape[2], *u.shape[3:]]
        return F.interpolate(u, size=size, mode=self.mode, align_corners=False)


class _Deconv(nn.Module):
    """A transposed convolution over time."""

    def __init__(self, width: int, temporal_width: int, gamma: int) -> None:
        super().__init__()
        kernel = (gamma, 1, 1)
        self.conv = nn.ConvTranspose3d(width, temporal_width, kernel, stride=kernel)

    def forward(self, patches: Tensor) -> Tensor:
        """Patches (N, T, h, w, D) -> (N, d, g*T, h, w)."""
        return self.conv(patches.movedim(-1, 1))


class _StridedConv(nn.Module):
    """A convolution over the g dense frames of each sparse frame."""

    def __init__(self, temporal_width: int, width: int, gamma: int) -> None:
        super().__init__()
        kernel = (gamma, 1, 1)
        self.conv = nn.Conv3d(temporal_width, width, kernel, stride=kernel)

    def forward(self, z: Tensor) -> Tensor:
        """(N, d, g*T, h, w) -> patches (N, T, h, w, D)."""
        return self.conv(z).movedim(1, -1)


class _PoolThenLinear(nn.Module):
    """Mean or maximum of the g dense frames of each sparse frame, then a linear layer."""

    def __init__(
        self, temporal_width: int, width: int, gamma: int, *, pool: Literal['mean', 'amax']
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(temporal_width, width)
        self.gamma, self.pool = gamma, pool

    def forward(self, z: Tensor) -> Tensor:
        """(N, d, g*T, h, w) -> patches (N, T, h, w, D)."""
        # (N, d, T, g, h, w): the g dense frames of every sparse one.
        groups = z.unflatten(2, (-1, self.gamma))
        pooled = groups.mean(dim=3) if self.pool == 'mean' else groups.amax(dim=3)
        return self.linear(pooled.movedim(1, -1))


UPSAMPLING: dict[str, Callable[[int, int, int], nn.Module]] = {
    'nearest': partial(_LinearThenStretch, mode='nearest'),
    'trilinear': partial(_LinearThenStretch, mode='trilinear'),
    'deconv': _Deconv,
}
"""Name -> module, built from D, d, g (DiST Table 2b)."""

DOWNSAMPLING: dict[str, Callable[[int, int, int], nn.Module]] = {
    'conv': _StridedConv,
    'avg': partial(_PoolThenLinear, pool='mean'),
    'max': partial(_PoolThenLinear, pool='amax'),
}
"""Name -> module, built from d, D, g (DiST Table 2a)."""


class ToTemporal(nn.Module):
    """Integration branch -> temporal encoder (DiST Eq. 6): patches, stretched over time.

    Args:
        width: D.
        temporal_width: d.
        gamma: g.
        upsampling: Method by which one frame becomes g.
    """

    def __init__(
        self, width: int, temporal_width: int, *, gamma: int, upsampling: Upsampling
    ) -> None:
        super().__init__()
        self.up = UPSAMPLING[upsampling](width, temporal_width, gamma)

    def forward(self, m: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens (N, T, 1 + L, D) of ``grid`` = (h, w) patches -> (N, d, g*T, h, w)."""
        # Without the class token, which has no location: (N, T, h, w, D).
        return self.up(m[:, :, 1:].unflatten(2, grid))


class ToIntegration(nn.Module):
    """Temporal encoder -> integration branch (DiST Eq. 5): fewer frames, and a class token each.

    Args:
        temporal_width: d.
        width: D.
        gamma: g.
        downsampling: Method by which g frames become one.
        num_frames: T, the number of class tokens.
        time_interpolation: Interpolation of the class tokens, see :class:`TimeTable`.
    """

    def __init__(
        self,
        temporal_width: int,
        width: int,
        *,
        gamma: int,
        downsampling: Downsampling,
        num_frames: int,
        time_interpolation: TimeInterpolation | None,
    ) -> None:
        super().__init__()
        self.down = DOWNSAMPLING[downsampling](temporal_width, width, gamma)
        self.class_tokens = TimeTable(num_frames, width, interpolation=time_interpolation)

    def forward(self, z: Tensor) -> Tensor:
        """(N, d, g*T, h, w) -> tokens (N, T, 1 + L, D)."""
        patches = self.down(z).flatten(2, 3)  # (N, T, L, D)
        n, t = patches.shape[:2]
        # The temporal encoder has no class token: a learned one takes its place, one a frame.
        cls = self.class_tokens(t)[:, None].to(patches.dtype).expand(n, t, 1, -1)
        return torch.cat([cls, patches], dim=2)
