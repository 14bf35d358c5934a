"""Blocks of DiST's temporal encoder (DiST Table 1c).

Letters: N clips, S dense frames, h x w patches, d temporal width. Tensors are (N, d, S, h, w) with
channels last in memory, so the norms need no copy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from mmstan.methods.dist.layers import quick_gelu
from mmstan.models.layers.attention import attention

TemporalBlock = Literal['r2plus1d', 'c3d', 'tadaconv', 'joint']


class _TemporalBlock(nn.Module, ABC):
    """``q(z + update(LN(z)))``: pre-norm, and the activation after the residual sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    @abstractmethod
    def update(self, z: Tensor) -> Tensor:
        """Normalised (N, d, S, h, w) -> the update, same shape."""

    def forward(self, z: Tensor) -> Tensor:
        """(N, d, S, h, w) -> same."""
        # The norm is over channels: last in memory already, so this is a view both ways.
        normed = self.norm(z.movedim(1, -1)).movedim(-1, 1)
        return quick_gelu(z + self.update(normed))


class R2Plus1D(_TemporalBlock):
    """A convolution over time, then one over space; R(2+1)D has them the other way round.

    Args:
        width: d.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.time = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))
        self.space = nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1))

    def update(self, z: Tensor) -> Tensor:
        """See :meth:`_TemporalBlock.update`."""
        return self.space(quick_gelu(self.time(z)))


class C3D(_TemporalBlock):
    """One convolution over time and space.

    Args:
        width: d.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.conv = nn.Conv3d(width, width, 3, padding=1)

    def update(self, z: Tensor) -> Tensor:
        """See :meth:`_TemporalBlock.update`."""
        return self.conv(z)


class TAdaConv(_TemporalBlock):
    """A convolution over space whose weights are calibrated for each frame (arXiv 2110.06178).

    The calibration is a factor for each input channel of the weights; the same factor on the input
    has the same result. The factors are computed from the means of the frame and of the clip by two
    convolutions over time. The norm between these is over channels; the paper's is over the batch,
    in which the clips of a batch would depend on each other.

    Args:
        width: d, a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.conv = nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1))
        self.clip = nn.Linear(width, width)
        self.squeeze = nn.Conv1d(width, width // 4, 3, padding=1)
        self.squeezed_norm = nn.LayerNorm(width // 4)
        self.expand = nn.Conv1d(width // 4, width, 3, padding=1, bias=False)

    def init_calibration(self) -> None:
        """Start every factor at 1, as in the paper."""
        nn.init.zeros_(self.expand.weight)

    def compute_factors(self, z: Tensor) -> Tensor:
        """(N, d, S, h, w) -> factors (N, d, S)."""
        frames = z.mean(dim=(3, 4))  # (N, d, S)
        # The clip's mean (N, d) is added to every frame's mean, then squeezed to d/4 channels.
        x = self.squeeze(frames + self.clip(frames.mean(dim=2))[..., None])
        return 1 + self.expand(self.squeezed_norm(x.mT).relu().mT)

    def update(self, z: Tensor) -> Tensor:
        """See :meth:`_TemporalBlock.update`."""
        return self.conv(z * self.compute_factors(z)[..., None, None])


class JointAttention(_TemporalBlock):
    """Attention over all S h w tokens of a clip.

    The paper gives only its cost (165.0 G in all), which one head of d/4 channels has. There are no
    further positions: the stem and the integrated features contain positions.

    Args:
        width: d, a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.qkv = nn.Linear(width, 3 * width // 4)
        self.out = nn.Linear(width // 4, width)

    def update(self, z: Tensor) -> Tensor:
        """See :meth:`_TemporalBlock.update`."""
        # (N, 1, S*h*w, d/4) each: the fused kernels want a dimension of heads.
        q, k, v = self.qkv(z.flatten(2).mT)[:, None].chunk(3, dim=-1)
        return self.out(attention(q, k, v)).mT.view_as(z)


TEMPORAL_BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    'r2plus1d': R2Plus1D,
    'c3d': C3D,
    'tadaconv': TAdaConv,
    'joint': JointAttention,
}
"""Name -> block, built from its width."""
