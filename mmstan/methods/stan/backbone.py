"""STAN: spatial-temporal auxiliary network (CVPR 2023, arXiv 2301.11116)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmstan.methods.stan.branch import (
    ClassToken,
    FirstClass,
    IntraFrame,
    Levels,
    STANBranch,
    call,
)
from mmstan.methods.stan.checks import (
    check_bt_adapter,
    check_levels,
    check_modules,
    shift_levels,
)
from mmstan.methods.stan.layer import STANLayer
from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.models.cross_frame import TemporalAttention
from mmstan.models.layers.time_table import TimeInterpolation
from mmstan.models.sizes import Sizes
from mmstan.registry import MODELS
from mmstan.wording import check_choice


@MODELS.register_module()
class STAN(VideoBackbone):
    """An image tower and a branch next to it that reads several of its levels.

    The tower runs frame by frame; its computation is never changed. A layer of the branch adds the
    tokens of one tower block to its own (STAN Eq. 5-6), mixes patches across frames (cross-frame,
    Eq. 8-9), then the tokens within a frame (intra-frame, Eq. 7). The branch's class token is added
    to the class token of every frame, its patches to the patches (Mug-STAN Eq. 10).

    Args:
        tower: Config of an image tower.
        levels: For each layer the tower block, counted from 1, whose output it reads; by default
            the last four of twelve. Interval 2: ``(6, 8, 10, 12)``. A layer with ``None`` reads no
            tower block: ``(12, None, None, None)`` is the posterior structure,
            ``(9, None, None, None)`` a single level (STAN, Tables 6 and 8).
        cross_frame: Config of the cross-frame module, or None for none (Table 6).
        intra_frame: ``'frame'``: a copy of a tower block on each frame. ``'joint'``: the copy on
            all frames at once, in place of both modules (Mug-STAN, Table V). ``'none'``: no copy
            (STAN, Table 6).
        networks: Number of parallel branches, whose results are added (Mug-STAN, Fig. 6).
        max_frames: Length of the time table; T is at most this. A checkpoint's table of another
            length is stretched when it is loaded; the log says so.
        time_interpolation: ``'linear'`` stretches the time table for more frames.
        drop_path: Rate of the last layer; the rates rise linearly from 0.
        dropout: Dropout after the positions (STAN Eq. 4; not in the released code).
        level_projection: A linear layer on the tower's tokens before they are added (STAN Eq. 5-6;
            not in the released code). It starts as the identity.
        first_class: The branch's first class token: ``'mean'`` of the frames' (STAN Eq. 3), or
            ``'embedded'``, which is half of that and of the tower's class embedding and its
            position (release).
        own_positions: The branch has space positions of its own (STAN Eq. 4), which start as the
            tower's; otherwise it reads the tower's (release).
        intra_first: The intra-frame module of a layer comes before the cross-frame one, as in STAN
            Section 3.2; otherwise behind it (release). The class token then does not read the last
            cross-frame module, which gets a gradient through patches alone.
        class_token: The class token in ``first_class='embedded'``: the ``'tower'``'s class
            embedding, or a parameter of the branch, its ``'own'``, which starts at zero
            (BT-Adapter). The position is the tower's in both.
        gates: A learned gate for each channel mixes the branch and a level, and in the end the
            branch and the tower, in the place of the sums; it starts as their average
            (BT-Adapter).
        checkpointing: Recompute blocks and layers in the backward pass, for long clips.

    Raises:
        ValueError: Options contradict each other, or ``levels`` does not fit the tower.
    """

    def __init__(
        self,
        tower: dict[str, Any],
        *,
        levels: Levels = (9, 10, 11, 12),
        cross_frame: Mapping[str, Any] | None = {'type': 'mmstan.TemporalAttention'},
        intra_frame: IntraFrame = 'frame',
        networks: int = 1,
        max_frames: int = 64,
        time_interpolation: TimeInterpolation | None = None,
        drop_path: float = 0.1,
        dropout: float = 0.0,
        level_projection: bool = False,
        first_class: FirstClass = 'embedded',
        own_positions: bool = False,
        intra_first: bool = False,
        class_token: ClassToken = 'tower',
        gates: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(tower)
        check_levels(levels, len(self.tower.blocks))
        check_modules(cross_frame, intra_frame)
        check_choice('first_class', first_class, FirstClass)
        check_bt_adapter(class_token, gates, first_class, networks)
        if networks < 1:
            raise ValueError(f'networks={networks}: at least 1')
        if level_projection and not any(levels[1:]):
            raise ValueError(f'level_projection=True, but levels={levels} adds no second level')
        self.levels = tuple(levels)
        self.branches = nn.ModuleList(
            STANBranch(
                self.tower,
                levels=levels,
                cross_frame=cross_frame,
                intra_frame=intra_frame,
                max_frames=max_frames,
                time_interpolation=time_interpolation,
                drop_path=drop_path,
                dropout=dropout,
                level_projection=level_projection,
                first_class=first_class,
                own_positions=own_positions,
                intra_first=intra_first,
                class_token=class_token,
                gates=gates,
            )
            for _ in range(networks)
        )
        self.checkpointing = checkpointing

    @classmethod
    def narrowed(cls, cfg: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
        """See :meth:`VideoBackbone.narrowed`: levels keep their distance from the last block."""
        changed = super().narrowed(cfg, sizes)
        if sizes.layers and 'levels' in cfg:
            tower = cfg['tower']
            depth = MODELS.get(tower['type']).depth(tower)
            changed.update(levels=shift_levels(cfg['levels'], depth, sizes.layers))
        return changed

    def layer_groups(self) -> dict[str, list[nn.Module]]:
        """See :meth:`VideoBackbone.layer_groups`: adds the layers of the first branch."""
        branch = cast(STANBranch, self.branches[0])
        return {**super().layer_groups(), 'branch': list(branch.layers)}

    def named_layers(self) -> dict[str, nn.Module]:
        """See :meth:`VideoBackbone.named_layers`: the branches' intra-frame modules.

        A layer without one is named itself. Layer 3 is ``'branch.3'``; of several branches, layer 3
        of the second is ``'branch.2.3'``.
        """
        tower = {f'tower.{k}': block for k, block in enumerate(self.tower.blocks, start=1)}
        layers = self._name_branch_layers('branch')
        return tower | {name: x.block or x for name, x in layers.items()}

    def main_layers(self) -> list[str]:
        """See :meth:`VideoBackbone.main_layers`: every intra-frame module comes first."""
        layers = self._name_branch_layers('branch')
        intra_frame = [name for name, layer in layers.items() if layer.block is not None]
        return intra_frame + super().main_layers()

    def time_layers(self) -> dict[str, nn.Module]:
        """See :meth:`VideoBackbone.time_layers`: the cross-frame modules with attention."""
        layers = self._name_branch_layers('time')
        modules = {name: layer.cross_frame for name, layer in layers.items()}
        return {name: x for name, x in modules.items() if isinstance(x, TemporalAttention)}

    def _name_branch_layers(self, word: str) -> dict[str, STANLayer]:
        """Name of a layer, beginning with ``word`` -> the layer, of all branches."""
        several = len(self.branches) > 1
        return {
            f'{word}.{n}.{k}' if several else f'{word}.{k}': cast(STANLayer, layer)
            for n, branch in enumerate(self.branches, start=1)
            for k, layer in enumerate(cast(STANBranch, branch).layers, start=1)
        }

    def init_weights(self) -> None:
        """Load the tower's weights, then copy its blocks into the branches."""
        super().init_weights()
        for branch in self.branches:
            cast(STANBranch, branch).copy_blocks(self.tower)

    def forward(self, clip: Tensor) -> Tensor:
        """Clip (N, 3, T, H, W) -> frame features (N, T, D)."""
        x = self.fuse(*self._run_both(clip, only_cls=not self.tower.reads_patches))
        return self.tower.project(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def tokens(self, clip: Tensor) -> Tensor:
        """See :meth:`VideoBackbone.tokens`: the sum of :meth:`parts` (Mug-STAN Eq. 10)."""
        return self.fuse(*self.parts(clip))

    def parts(self, clip: Tensor, *, visible: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Clip (N, 3, T, H, W) -> tokens of the tower and of the branch, (N, T, 1 + L, C) each.

        A frame's class token is first. The branch has one class token a clip, which is repeated
        for its frames; several networks are added.

        Args:
            clip: The clip.
            visible: Places (V) of the patches that the branch sees in every frame (BT-Adapter's
                tube mask); its tokens are then (N, T, 1 + V, C). It needs the tower's positions.
        """
        return self._run_both(clip, only_cls=False, visible=visible)

    def fuse(self, tower: Tensor, branch: Tensor) -> Tensor:
        """Tokens (N, T, S, C) of the tower and of the branch -> their sum, or gated mixture."""
        return cast(STANBranch, self.branches[0]).add_to_tower(tower, branch)

    def _run_both(
        self, clip: Tensor, *, only_cls: bool, visible: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """:meth:`parts`; with ``only_cls`` the class tokens alone, (N, T, 1, C) each."""
        images = clip_to_images(clip)
        tower, grid = self.tower, self.tower.grid(images)
        # Tower block -> tokens (N, T, 1 + L, C), for the last block and the levels.
        outputs = self._run_tower(images, only_cls)
        outputs = {number: x.unflatten(0, (clip.shape[0], -1)) for number, x in outputs.items()}
        # The branch starts from the tower's class embedding and positions, too (STAN Eq. 3-4).
        embedding = tower.class_embedding, tower.positions(grid)
        seen = outputs
        if visible is not None:
            rows = torch.cat([visible.new_zeros(1), visible + 1])  # the class token, patches
            seen = {number: tokens[:, :, rows] for number, tokens in outputs.items()}
            embedding = embedding[0], embedding[1][rows]
        results = [
            branch(seen, embedding, grid, only_cls=only_cls, run=self._run)
            for branch in self.branches
        ]
        x = outputs[len(tower.blocks)]
        # A branch has one class token a clip, (N, 1, C): every frame gets it, (N, T, 1, C).
        cls = sum(result.cls for result in results)[:, None].expand(-1, x.shape[1], -1, -1)
        if only_cls:
            return x[:, :, :1], cls
        patches = sum(result.patches for result in results)
        return x, torch.cat([cls, patches], dim=2)

    def _run_tower(self, images: Tensor, only_cls: bool) -> dict[int, Tensor]:
        """Images (N*T, 3, H, W) -> block number -> tokens, for the last block and the levels.

        With ``only_cls``, only the class tokens of a last block that no branch reads are computed.
        """
        blocks = self.tower.blocks
        x = self.tower.embed(images)
        outputs = {}
        for number, block in enumerate(blocks, start=1):
            is_last = number == len(blocks)
            # The last block's patches are needed for a level, for tokens, or for CoCa's pooler.
            skip = is_last and only_cls and number not in self.levels
            x = self._run(block.first_row if skip else block, x)
            if is_last or number in self.levels:
                outputs[number] = x
        return outputs

    @property
    def _run(self) -> Callable[..., Any]:
        recompute = self.checkpointing and torch.is_grad_enabled()
        # Reentrant checkpointing would lose the gradients of a block whose input needs none.
        return partial(checkpoint, use_reentrant=False) if recompute else call
