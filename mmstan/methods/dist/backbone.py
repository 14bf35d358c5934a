"""DiST: disentangled spatial and temporal learning (ICCV 2023, arXiv 2309.07911)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmstan.methods.dist.branch import BranchOptions, DiSTBranch, DiSTLayer
from mmstan.methods.dist.resampling import Downsampling, Upsampling
from mmstan.methods.dist.temporal import TemporalBlock
from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.layers.time_table import TimeInterpolation
from mmstan.models.sizes import Sizes
from mmstan.registry import MODELS
from mmstan.wording import check_choice


class Encoded(NamedTuple):
    """The last outputs of DiST's three encoders."""

    x: Tensor
    """Tokens of the tower, (N, T, 1 + L, C)."""
    z: Tensor | None
    """Output of the temporal encoder, (N, d, g*T, h, w)."""
    tokens: Tensor | None
    """Tokens of the integration branch, ``y + y_hat``, (N, T, 1 + L, D)."""


@MODELS.register_module()
class DiST(VideoBackbone):
    """A frozen image tower, a light temporal encoder, and a branch that integrates both.

    The tower sees every gamma-th frame, the temporal encoder all frames. The tower runs without a
    graph: a training step computes no gradients of it and keeps, of its activations, only the
    outputs of the blocks, which the branch reads. The result is one feature a clip, (N, D), so no
    neck follows. As released, and other than in DiST Eq. 7, the tower's mean class token is a part
    of it (:meth:`DiSTBranch.summarise`).

    Args:
        tower: Config of an image tower with ``frozen=True``.
        gamma: Frames of the temporal encoder for each frame of the tower: the clip has gamma * T.
        num_frames: T, the tower's frames, which is the length of the tables of class tokens and
            positions.
        width: Channels of the integration branch, best a multiple of 64.
        temporal_width: Channels of the temporal encoder.
        pooling_layers: Blocks of the adaptive pooling: 2 for Something-Something, 4 for Kinetics.
        temporal_block: The temporal encoder's block (DiST Table 1c); None for no temporal encoder.
        integration: Whether there is an integration branch (Table 1a).
        integration_to_temporal: Upsampling of the features that the branch sends to the temporal
            encoder (Table 2b); None sends none (Table 1b).
        temporal_to_integration: Downsampling of the features that the temporal encoder sends to the
            branch (Table 2a); None sends none, and their mean is added to the clip's feature.
        frame_features: Return the frozen tower's features of the T frames as a second value
            (N, T, D), for ``mmstan.FusedTextHead`` (zero-shot).
        tower_dtype: ``'bfloat16'`` runs the tower alone in that precision.
        time_interpolation: ``'linear'`` stretches the tables for clips and checkpoints of
            another T.

    Raises:
        ValueError: The tower is not frozen, or options contradict each other.

    Example:
        >>> import torch
        >>> from mmstan.methods.dist import DiST
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> model = dict(embed_dim=16, vision_cfg=sizes)
        >>> tower = dict(type='mmstan.ImageTower', model=model, frozen=True)
        >>> backbone = DiST(tower, gamma=2, num_frames=4, width=64, temporal_width=16)
        >>> backbone(torch.zeros(2, 3, 8, 32, 32)).shape
        torch.Size([2, 16])
    """

    unused_by_map = (
        *VideoBackbone.unused_by_map,
        r'branch\.(pooling|norm|projection|cls_projection|temporal_projection)\..*',
    )

    tower_has_graph = False

    def __init__(
        self,
        tower: dict[str, Any],
        *,
        gamma: int = 2,
        num_frames: int = 8,
        width: int = 384,
        temporal_width: int = 96,
        pooling_layers: int = 2,
        temporal_block: TemporalBlock | None = 'r2plus1d',
        integration: bool = True,
        integration_to_temporal: Upsampling | None = 'nearest',
        temporal_to_integration: Downsampling | None = 'conv',
        frame_features: bool = False,
        tower_dtype: Literal['bfloat16'] | None = None,
        time_interpolation: TimeInterpolation | None = None,
    ) -> None:
        super().__init__(tower)
        if not self.tower.frozen:
            raise ValueError('tower: DiST never trains it; write tower=dict(..., frozen=True)')
        check_choice('tower_dtype', tower_dtype, ('bfloat16',), optional=True)
        options = BranchOptions(
            gamma=gamma,
            num_frames=num_frames,
            width=width,
            temporal_width=temporal_width,
            pooling_layers=pooling_layers,
            temporal_block=temporal_block,
            integration=integration,
            integration_to_temporal=integration_to_temporal,
            temporal_to_integration=temporal_to_integration,
            time_interpolation=time_interpolation,
        )
        self.branch = DiSTBranch(self.tower, options)
        self.gamma, self.tower_dtype = gamma, tower_dtype
        self.frame_features = frame_features
        self.width, self.integration = width, integration
        if temporal_to_integration is None:  # the tokens do not depend on the temporal encoder
            self.unused_by_map = (
                *self.unused_by_map,
                r'branch\.(stem|layers\.\d+\.(temporal_block|to_temporal))\..*',
            )

    @classmethod
    def tower_frames(cls, cfg: Mapping[str, Any], frames: int) -> int:
        """See :meth:`VideoBackbone.tower_frames`: every gamma-th frame."""
        return frames // int(cfg.get('gamma', 2))

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """See :meth:`VideoBackbone.narrowed`: both other encoders become narrow, too."""
        changed: dict[str, Any] = dict(width=sizes.width, temporal_width=sizes.width // 2)
        if sizes.frames:
            changed.update(num_frames=cls.tower_frames(cfg, sizes.frames))
        return changed

    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """See :meth:`VideoBackbone.layer_groups`: adds the two other encoders, where built."""
        groups = super().layer_groups()
        layers = [cast(DiSTLayer, layer) for layer in self.branch.layers]
        for name, blocks in (
            ('temporal encoder', [layer.temporal_block for layer in layers]),
            ('integration branch', [layer.integration_block for layer in layers]),
        ):
            if built := [block for block in blocks if block is not None]:
                groups[name] = built
        return groups

    def main_layers(self) -> list[str]:
        """See :meth:`VideoBackbone.main_layers`: the last layers of the two other encoders."""
        last = [f'{word}.{len(self.branch.layers)}' for word in ('integration', 'temporal')]
        named = self.named_layers()
        return [name for name in last if name in named]

    def forward(self, clip: Tensor) -> Any:
        """Clip (N, 3, g*T, H, W) -> feature (N, D); with ``frame_features`` also frames (N, T, D).

        Raises:
            ValueError: The number of frames is no multiple of gamma, or T is not ``num_frames``.
        """
        x, z, tokens = self._encode(clip)
        video = self.branch.summarise(x, z, tokens)
        if not self.frame_features:
            return video
        # The tower's own projection of each frame, as plain CLIP would give it.
        frames = self._run_frozen(self.tower.project, x.flatten(0, 1)).to(video.dtype)
        return video, frames.unflatten(0, x.shape[:2])

    def tokens(self, clip: Tensor) -> Tensor:
        """Tokens of the T sparse frames before the pooling, (N, T, 1 + L, ``width``).

        Without an integration branch, the tower's tokens, (N, T, 1 + L, C).
        """
        x, _, tokens = self._encode(clip)
        return x if tokens is None else tokens

    @property
    def map_width(self) -> int:
        """See :attr:`VideoBackbone.map_width`: ``width``, which the integration branch has."""
        return self.width if self.integration else super().map_width

    def refuse_without_map(self) -> None:
        """See :meth:`VideoBackbone.refuse_without_map`: the integration branch has its own map."""
        if not self.integration:
            super().refuse_without_map()

    def normalise(self, tokens: Tensor) -> Tensor:
        """The integration branch has no last norm: a layer norm without parameters replaces it."""
        return (
            F.layer_norm(tokens, tokens.shape[-1:])
            if self.integration
            else super().normalise(tokens)
        )

    def _encode(self, clip: Tensor) -> Encoded:
        """Run the three encoders side by side on a clip (N, 3, g*T, H, W)."""
        images = self._take_sparse_images(clip)
        n, grid = clip.shape[0], self.tower.grid(images)
        # Letters as in the paper: x tower, z temporal encoder, y and y_hat integration branch.
        x, z = self._run_frozen(self.tower.embed, images), self.branch.start(clip)
        y = y_hat = None
        for block, layer in zip(self.tower.blocks, self.branch.layers):
            # The previous block's output is freed here, unless a gradient needs it.
            x = self._run_frozen(block, x)
            z, y, y_hat = layer(x.unflatten(0, (n, -1)), z, y, grid)
        # The last integration block with a residual around it, which the others do not have.
        tokens = None if y is None or y_hat is None else y + y_hat
        return Encoded(x.unflatten(0, (n, -1)), z, tokens)

    def _take_sparse_images(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, g*T, H, W) -> its frames 0, g, 2g, ... as images (N*T, 3, H, W)."""
        if clip.ndim == 5 and clip.shape[2] % self.gamma:
            raise ValueError(
                f'a clip of {clip.shape[2]} frames, which is no multiple of gamma={self.gamma}; '
                'sample gamma * num_frames'
            )
        return clip_to_images(clip[:, :, :: self.gamma] if clip.ndim == 5 else clip)

    def _run_frozen(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Call ``function(x)`` of the tower without a graph, in the tower's precision.

        No ``inference_mode``: its tensors could not be saved for the branch's backward pass.
        """
        half = torch.autocast(x.device.type, torch.bfloat16) if self.tower_dtype else nullcontext()
        with torch.no_grad(), half:
            return function(x)
