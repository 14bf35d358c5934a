"""One layer of STAN's branch: cross-frame module, then intra-frame module.

Letters: N clips, T frames, L patches, C width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from mmstan.models.cross_frame import CrossFrame
from mmstan.models.towers import Block


class BranchTokens(NamedTuple):
    """Tokens in the branch: one class token a clip, and the patches of every frame."""

    cls: Tensor
    """The clip's class token, (N, 1, C)."""
    patches: Tensor | None
    """Patches (N, T, L, C); None where only the class token was asked for."""


class STANLayer(nn.Module):
    """Cross-frame module, then intra-frame module, on a clip's class token and patches.

    Args:
        cross_frame: The cross-frame module (STAN Eq. 8 or 9), or None.
        block: The intra-frame module (STAN Eq. 7), a copy of a tower's block, or None.
        joint: Run ``block`` on all frames at once (Mug-STAN Table V) instead of frame by frame.
        intra_first: The intra-frame module comes first (STAN, Section 3.2), not the cross-frame one
            (release).
        drop_path: Probability with which a frame's attention update in ``block`` is dropped in
            training.
    """

    def __init__(
        self,
        cross_frame: CrossFrame | None,
        block: Block | None,
        *,
        joint: bool = False,
        intra_first: bool = False,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.cross_frame, self.block, self.joint = cross_frame, block, joint
        self.intra_first = intra_first
        self.drop_path = DropPath(drop_path)

    def forward(
        self, cls: Tensor, patches: Tensor, grid: tuple[int, int], only_cls: bool
    ) -> BranchTokens:
        """Class token (N, 1, C) and patches (N, T, L, C) -> same, or without patches.

        Args:
            cls: The clip's class token.
            patches: The frames' patches.
            grid: Rows and columns of patches.
            only_cls: Compute only the class token.
        """
        if not self.intra_first:
            return self._see_in_frames(cls, self._see_across(patches, grid), only_cls)
        cls, within = self._see_in_frames(cls, patches, only_cls)
        return BranchTokens(cls, None if within is None else self._see_across(within, grid))

    def _see_across(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """Patches (N, T, L, C) behind the cross-frame module (STAN Eq. 8 or 9)."""
        return patches if self.cross_frame is None else patches + self.cross_frame(patches, grid)

    def _see_in_frames(self, cls: Tensor, patches: Tensor, only_cls: bool) -> BranchTokens:
        """Class token and patches behind the intra-frame module (STAN Eq. 7)."""
        if self.block is None:
            return BranchTokens(cls, None if only_cls else patches)
        # Keys and values are all tokens; with `only_cls` the class token is the only query.
        attend = self._attend_jointly if self.joint else self._attend_frame_by_frame
        cls_update, patch_update = attend(self.block, cls, patches, 1 if only_cls else None)
        # The MLP acts on each token alone, so the clip's one class token passes it once.
        cls = cls + cls_update
        cls = cls + self.block.feed_forward(cls)
        if only_cls:
            return BranchTokens(cls, None)
        # All patches of the clip pass the MLP as one sequence (N, T*L, C), one large product.
        patches = patches + patch_update
        update = self.block.feed_forward(patches.flatten(1, 2))
        return BranchTokens(cls, patches + update.view_as(patches))

    def _attend_frame_by_frame(
        self, block: Block, cls: Tensor, patches: Tensor, queries: int | None
    ) -> tuple[Tensor, Tensor]:
        """Attention within a frame and to a copy of the class token (STAN Eq. 7).

        The T updates of the copies are averaged.
        """
        n, t = patches.shape[:2]
        x = torch.cat([cls[:, None].expand(-1, t, -1, -1), patches], dim=2)  # (N, T, 1+L, C)
        # A frame is a sequence, (N*T, 1+L, C); drop_path drops frames, not clips.
        update = self.drop_path(block.attend(x.flatten(0, 1), queries)).unflatten(0, (n, t))
        return update[:, :, 0].mean(dim=1, keepdim=True), update[:, :, 1:]

    def _attend_jointly(
        self, block: Block, cls: Tensor, patches: Tensor, queries: int | None
    ) -> tuple[Tensor, Tensor]:
        """Attention among the class token and all T*L patches of the clip."""
        x = torch.cat([cls, patches.flatten(1, 2)], dim=1)  # (N, 1+T*L, C)
        update = self.drop_path(block.attend(x, queries))
        return update[:, :1], update[:, 1:].reshape(x.shape[0], *patches.shape[1:-1], -1)
