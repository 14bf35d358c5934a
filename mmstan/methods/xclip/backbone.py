"""X-CLIP: cross-frame communication by message tokens (ECCV 2022, arXiv 2208.02816).

Letters: N clips, T frames, L patches, C width of the tower, D joint space.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from mmengine.logging import print_log
from timm.layers import DropPath, resample_abs_pos_embed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmstan.methods.xclip.message_token import MessageToken
from mmstan.models.backbones.base import VideoBackbone, clip_to_images
from mmstan.registry import MODELS
from mmstan.wording import check_choice

# Of an `ImageTower`; MMPretrain's tower resizes its own when it is loaded.
_POSITIONS = 'tower.visual.positional_embedding'


class VisualContext(nn.Module):
    """Visual context of the prompts: a clip's patches, averaged over the frames and projected.

    The paper averages the tokens ``z_t`` over t; as released, the patches (without the class token)
    are normalised and projected first.

    Args:
        width: C, the tower's width.
        out_dim: D, width of the joint space.
    """

    def __init__(self, width: int, out_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.proj = nn.Linear(width, out_dim, bias=False)
        nn.init.normal_(self.proj.weight)  # std 1, as released: a LayerNorm follows in the head

    def forward(self, patches: Tensor) -> Tensor:
        """Patches (N, T, L, C) -> context (N, L, D)."""
        # The projection is linear, so it comes after the mean, on T times fewer rows.
        return self.proj(self.norm(patches).mean(dim=1))


@MODELS.register_module()
class XCLIP(VideoBackbone):
    """An image tower whose frames exchange messages in every block.

    Before each block, the messages of a clip's frames exchange information (X-CLIP Eq. 7). In the
    block, a frame attends to its tokens and to its message (Eq. 8-9). The next block makes new
    messages. With ``context`` the last block's patches become the visual context, which
    :class:`PromptedTextHead` reads.

    Args:
        tower: Config of an image tower.
        context: Return the visual context as well. False leaves the message tokens alone, the
            baseline of STAN's Table 7.
        drop_path: Rate of the last block; the rates rise linearly from 0. The updates of whole
            clips are dropped: of the messages' exchange, of attention, of the MLP.
        grid_interpolation: ``'bicubic'`` resizes the position table of a checkpoint that was
            trained on another image size than the tower's. For ``pretrained`` weights, and for
            frames of another size at run time, the tower does so itself.
        checkpointing: Recompute blocks in the backward pass, for long clips.

    Example:
        >>> import torch
        >>> from mmstan.methods.xclip import XCLIP
        >>> sizes = dict(image_size=32, layers=2, width=64, patch_size=8, head_width=32)
        >>> model = dict(embed_dim=16, vision_cfg=sizes)
        >>> backbone = XCLIP(dict(type='mmstan.ImageTower', model=model))
        >>> frames, context = backbone(torch.zeros(2, 3, 8, 32, 32))
        >>> frames.shape, context.shape
        (torch.Size([2, 8, 16]), torch.Size([2, 16, 16]))
    """

    unused_by_map = (*VideoBackbone.unused_by_map, r'context\..*')

    def __init__(
        self,
        tower: dict[str, Any],
        *,
        context: bool = True,
        drop_path: float = 0.0,
        grid_interpolation: Literal['bicubic'] | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(tower)
        check_choice('grid_interpolation', grid_interpolation, ('bicubic',), optional=True)
        width, heads = self.tower.width, self.tower.heads
        rates = [float(rate) for rate in np.linspace(0, drop_path, len(self.tower.blocks))]
        self.messages = nn.ModuleList(
            MessageToken(width, heads=heads, drop_path=rate) for rate in rates
        )
        self.drop_paths = nn.ModuleList(DropPath(rate) for rate in rates)
        self.context = VisualContext(width, self.out_dim) if context else None
        self.grid_interpolation = grid_interpolation
        self.checkpointing = checkpointing
        self.register_load_state_dict_pre_hook(_resize_loaded_positions)

    def forward(self, clip: Tensor) -> Any:
        """Clip (N, 3, T, H, W) -> frames (N, T, D), or (frames, context (N, L, D))."""
        only_cls = self.context is None and not self.tower.reads_patches
        x = self._run(clip, only_cls=only_cls)
        frames = self.tower.project(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        if self.context is None:
            return frames
        return frames, self.context(x[:, :, 1:])

    def tokens(self, clip: Tensor) -> Tensor:
        """See :meth:`VideoBackbone.tokens`: tokens after the last block, without messages."""
        return self._run(clip, only_cls=False)

    def time_layers(self) -> dict[str, nn.Module]:
        """See :meth:`VideoBackbone.time_layers`: the message tokens, ``'message.1'`` and so on."""
        return {f'message.{k}': module for k, module in enumerate(self.messages, start=1)}

    def _run(self, clip: Tensor, *, only_cls: bool) -> Tensor:
        """Clip -> tokens of the last block (N, T, 1 + L, C), or class tokens (N, T, 1, C)."""
        x = self.tower.embed(clip_to_images(clip))
        n, last = clip.shape[0], len(self.messages) - 1
        for k in range(len(self.messages)):
            inputs = k, x, n, only_cls and k == last
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(self._run_block, *inputs, use_reentrant=False)
            else:
                x = self._run_block(*inputs)
        return x.unflatten(0, (n, -1))

    def _run_block(self, k: int, x: Tensor, n: int, only_cls: bool) -> Tensor:
        """Tokens (N*T, 1 + L, C) -> tokens after block k, or class tokens (N*T, 1, C)."""
        block, drop = self.tower.blocks[k], self.drop_paths[k]
        # Eq. 7: the messages, one a frame, exchange information across the frames.
        message = self.messages[k](x[:, 0].unflatten(0, (n, -1)))  # (N, T, C)
        # Eq. 8, intra-frame attention: [z_t, m_t] + IFA(LN([z_t, m_t])), then m_t is left out.
        joined = torch.cat([x, message.flatten(0, 1)[:, None]], dim=1)  # (N*T, 1 + L + 1, C)
        # The message's row is computed too: leaving out that one would split the products of
        # queries, keys and values, which costs more than the row.
        update = block.attend(joined, queries=1) if only_cls else block.attend(joined)[:, :-1]
        x = x[:, : update.shape[1]] + _drop_by_clip(drop, update, n)
        # Eq. 9: z_t + FFN(LN(z_t)).
        return x + _drop_by_clip(drop, block.feed_forward(x), n)


def _drop_by_clip(drop: nn.Module, update: Tensor, n: int) -> Tensor:
    """Drop the updates (N*T, S, C) of whole clips in training; a sample is a clip, not a frame."""
    return drop(update.unflatten(0, (n, -1))).flatten(0, 1)


def _resize_loaded_positions(
    backbone: XCLIP, state: dict[str, Tensor], prefix: str, *_: Any
) -> None:
    """Resize a loaded position table (1 + L, C) to the tower's grid, with ``grid_interpolation``.

    Raises:
        ValueError: The table has another grid, and ``grid_interpolation`` is None.
    """
    own, name = dict(backbone.named_parameters()).get(_POSITIONS), prefix + _POSITIONS
    if own is None or name not in state or len(state[name]) == len(own):
        return
    theirs, ours = len(state[name]) - 1, len(own) - 1
    if backbone.grid_interpolation is None:
        raise ValueError(
            f'{name} has {theirs} patch positions and the tower {ours}: set image_size of the '
            "tower to the checkpoint's, or resize the table with grid_interpolation='bicubic'"
        )
    grid = list(backbone.tower.visual.grid_size)
    state[name] = resample_abs_pos_embed(state[name][None], grid)[0]
    print_log(f'{name}: {theirs} patch positions -> {ours}', 'current')
