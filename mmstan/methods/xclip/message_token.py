"""The message token, X-CLIP's cross-frame module."""

from __future__ import annotations

from timm.layers import DropPath
from torch import Tensor, nn

from mmstan.models.layers.attention import apply_linear, read_input_projection, self_attend


class MessageToken(nn.Module):
    """A message of each frame to the others: ``m + attention over time(LN(m))``, ``m = fc(cls)``.

    X-CLIP Eq. 7. ``fc`` reads the class token without a norm. The messages have no positions, so
    attention does not depend on the order of the frames. Initialised by PyTorch's defaults, not at
    zero, as released.

    Args:
        width: C, the tower's width.
        heads: Attention heads.
        drop_path: Probability with which the exchange of a clip's messages is dropped in training.

    Example:
        >>> import torch
        >>> from mmstan.methods.xclip import MessageToken
        >>> MessageToken(64, heads=2)(torch.zeros(2, 8, 64)).shape
        torch.Size([2, 8, 64])
    """

    def __init__(self, width: int, *, heads: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.fc = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.drop_path = DropPath(drop_path)

    def forward(self, cls: Tensor) -> Tensor:
        """Class tokens of the frames (N, T, C) -> their messages (N, T, C)."""
        message = self.fc(cls)  # m_t = Linear(z_t,0)
        # M + CFA(LN(M)): cross-frame attention over the T messages of a clip.
        in_proj, heads = read_input_projection(self.attn), self.attn.num_heads
        update = apply_linear(self_attend(self.norm(message), in_proj, heads), self.attn.out_proj)
        return message + self.drop_path(update)
