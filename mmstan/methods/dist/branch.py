"""DiST's trainable side: temporal encoder, integration branch, pooling, output (DiST Fig. 3).

Letters: N clips, T sparse frames, g gamma, L = h x w patches, C tower width, D integration width,
d temporal width, E joint width.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, cast

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmstan.methods.dist.integration import AdaptivePooling, IntegrationBlock
from mmstan.methods.dist.resampling import Downsampling, ToIntegration, ToTemporal, Upsampling
from mmstan.methods.dist.temporal import TEMPORAL_BLOCKS, TAdaConv, TemporalBlock
from mmstan.models.layers.time_table import TimeInterpolation
from mmstan.models.towers import BaseImageTower
from mmstan.wording import check_choice


@dataclass(frozen=True, kw_only=True)
class BranchOptions:
    """Options of :class:`DiST` for its branch.

    Raises:
        ValueError: A value is unknown, or options contradict each other.
    """

    gamma: int
    num_frames: int
    width: int
    temporal_width: int
    pooling_layers: int
    temporal_block: TemporalBlock | None
    integration: bool
    integration_to_temporal: Upsampling | None
    temporal_to_integration: Downsampling | None
    time_interpolation: TimeInterpolation | None

    def __post_init__(self) -> None:
        for name, choices in (
            ('temporal_block', TemporalBlock),
            ('integration_to_temporal', Upsampling),
            ('temporal_to_integration', Downsampling),
            ('time_interpolation', TimeInterpolation),
        ):
            check_choice(name, getattr(self, name), choices, optional=True)
        for field in fields(self):
            if field.type == 'int' and getattr(self, field.name) < 1:
                raise ValueError(f'{field.name}={getattr(self, field.name)}: at least 1')
        for name in ('width', 'temporal_width'):
            if getattr(self, name) % 4:
                raise ValueError(f'{name}={getattr(self, name)}: a multiple of 4')
        alone = self.temporal_block is None or not self.integration
        if alone and (self.integration_to_temporal or self.temporal_to_integration):
            raise ValueError(
                f'temporal_block={self.temporal_block!r} with integration={self.integration} '
                'leaves nothing to interact; set integration_to_temporal=None and '
                'temporal_to_integration=None'
            )


class LayerOutput(NamedTuple):
    """Outputs of a :class:`DiSTLayer`; None for an encoder that is not built."""

    z: Tensor | None
    """Output of the temporal encoder, (N, d, g*T, h, w)."""
    y: Tensor | None
    """Output of the integration block, (N, T, 1 + L, D)."""
    y_hat: Tensor | None
    """Input of the integration block, (N, T, 1 + L, D)."""


class DiSTLayer(nn.Module):
    """The branch's layer next to one tower block (DiST Eq. 3-6).

    Args:
        options: See :class:`BranchOptions`.
        tower_width: C.
        is_last: In the last layer, no later block reads the temporal encoder. The interaction from
            the integration branch to it keeps its place in checkpoints, but is neither run nor
            trained.
    """

    def __init__(self, options: BranchOptions, tower_width: int, *, is_last: bool) -> None:
        super().__init__()
        o, d, self.is_last = options, options.temporal_width, is_last
        self.temporal_block = TEMPORAL_BLOCKS[o.temporal_block](d) if o.temporal_block else None
        self.project = nn.Linear(tower_width, o.width) if o.integration else None
        self.integration_block = IntegrationBlock(o.width) if o.integration else None
        self.to_temporal = self.to_integration = None
        if o.integration_to_temporal is not None:
            self.to_temporal = ToTemporal(
                o.width, d, gamma=o.gamma, upsampling=o.integration_to_temporal
            ).requires_grad_(not is_last)
        if o.temporal_to_integration is not None:
            self.to_integration = ToIntegration(
                d,
                o.width,
                gamma=o.gamma,
                downsampling=o.temporal_to_integration,
                num_frames=o.num_frames,
                time_interpolation=o.time_interpolation,
            )

    def forward(
        self, x: Tensor, z: Tensor | None, y: Tensor | None, grid: tuple[int, int]
    ) -> LayerOutput:
        """One step of both encoders.

        Args:
            x: Output of the tower's block (N, T, 1 + L, C).
            z: Previous output of the temporal encoder (N, d, g*T, h, w), None without one.
            y: Output of the previous integration block (N, T, 1 + L, D), None in the first layer.
            grid: Rows and columns of patches.
        """
        if self.temporal_block is not None:
            z = self.temporal_block(z)  # DiST Eq. 3
        if self.project is None or self.integration_block is None:
            return LayerOutput(z, None, None)
        # The tower's tokens in D channels, plus the previous integration block's output.
        # (A quantised layer's weight has no dtype.)
        m = self.project(x.to(next(self.parameters()).dtype))
        m = m if y is None else m + y
        # DiST Eq. 5: g dense frames of the temporal encoder become one sparse frame.
        y_hat = m if self.to_integration is None else m + self.to_integration(z)
        if self.to_temporal is not None and not self.is_last:
            z = z + self.to_temporal(m, grid)  # DiST Eq. 6: one sparse frame becomes g dense ones
        return LayerOutput(z, self.integration_block(y_hat), y_hat)  # DiST Eq. 4


class DiSTBranch(nn.Module):
    """All trained layers of DiST.

    If the integration branch does not read the temporal encoder (DiST Tables 1a and 1b), the mean
    of the encoder's last output is added to the clip's feature through a linear layer. The paper
    does not say how it is used there.

    Args:
        tower: The tower that the branch reads; no reference is kept.
        options: See :class:`BranchOptions`.
    """

    def __init__(self, tower: BaseImageTower, options: BranchOptions) -> None:
        super().__init__()
        o, c, depth = options, tower.width, len(tower.blocks)
        ph, pw = tower.patch_size
        # Frames -> (N, d, g*T, h, w): a kernel of 5 frames and one patch, stride one patch.
        self.stem = None
        if o.temporal_block is not None:
            self.stem = nn.Conv3d(
                3, o.temporal_width, (5, ph, pw), stride=(1, ph, pw), padding=(2, 0, 0)
            )
        self.layers = nn.ModuleList(
            DiSTLayer(o, c, is_last=number == depth) for number in range(1, depth + 1)
        )
        self.pooling = None
        if o.integration:
            self.pooling = AdaptivePooling(
                o.width,
                layers=o.pooling_layers,
                num_frames=o.num_frames,
                time_interpolation=o.time_interpolation,
            )
        self.cls_projection = nn.Linear(c, o.width)
        # Only for ablations in which the branch does not read the temporal encoder.
        self.temporal_projection = None
        if o.temporal_block is not None and o.temporal_to_integration is None:
            self.temporal_projection = nn.Linear(o.temporal_width, o.width)
        self.norm = nn.LayerNorm(o.width)
        self.projection = nn.Linear(o.width, tower.joint_dim, bias=False)
        self._initialise()
        frozen = sum(p.numel() for p in self.parameters() if not p.requires_grad)
        if frozen:
            print_log(f'DiST: {frozen} parameters of the last layer are unread, frozen', 'current')

    def _initialise(self) -> None:
        """As released: truncated normal weights, zero biases; only TAdaConv's weights are zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv3d | nn.ConvTranspose3d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        # After the loop above, which has filled TAdaConv's weights as well.
        for module in self.modules():
            if isinstance(module, TAdaConv):
                module.init_calibration()
        nn.init.normal_(self.projection.weight, std=self.projection.in_features**-0.5)

    def start(self, clip: Tensor) -> Tensor | None:
        """Clip (N, 3, g*T, H, W) -> the temporal encoder's input (N, d, g*T, h, w)."""
        if self.stem is None:
            return None
        return self.stem(clip).contiguous(memory_format=torch.channels_last_3d)

    def summarise(self, x: Tensor, z: Tensor | None, tokens: Tensor | None) -> Tensor:
        """The clip's feature in the joint space, (N, E) (DiST Eq. 7, and one term more).

        Departure from Eq. 7, as released: the paper normalises and projects the pooled tokens
        alone; here the tower's mean class token is added to them through a linear layer.

        Args:
            x: Tokens (N, T, 1 + L, C) of the tower's last block; the class tokens are read.
            z: Last output of the temporal encoder (N, d, g*T, h, w).
            tokens: Tokens of the integration branch (N, T, 1 + L, D).
        """
        # The tower's mean class token, the pooled tokens, and, in ablations, the mean of z.
        cls = x[:, :, 0].mean(dim=1).to(next(self.parameters()).dtype)
        v = self.cls_projection(cls)
        if self.pooling is not None:
            v = v + self.pooling(tokens)
        if self.temporal_projection is not None:
            v = v + self.temporal_projection(cast(Tensor, z).mean(dim=(2, 3, 4)))
        return self.projection(self.norm(v))
