"""DiST's integration branch: its block, and the pooling of its tokens (DiST Eq. 4 and 7).

Letters: N clips, T sparse frames, S = 1 + L tokens of a frame, D integration width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmstan.methods.dist.layers import MLP, count_heads, quick_gelu
from mmstan.models.layers.attention import apply_linear, cross_attend, read_input_projection
from mmstan.models.layers.time_table import TimeInterpolation, TimeTable


class TemporalFFN(nn.Module):
    """D -> D/4, a convolution over three frames, QuickGELU, D/4 -> D, for every token of a frame.

    The convolution is ``TConv`` of DiST Eq. 4; the reduction in front is in the released code only.

    Args:
        width: D, a multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(width, width // 4)
        self.conv = nn.Conv3d(width // 4, width // 4, (3, 1, 1), padding=(1, 0, 0))
        self.expand = nn.Linear(width // 4, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, S, D) -> same."""
        # As images of T x S pixels, so a kernel of (3, 1, 1) convolves over time.
        h = self.reduce(x).movedim(-1, 1)[..., None]  # (N, D/4, T, S, 1)
        return self.expand(quick_gelu(self.conv(h))[..., 0].movedim(1, -1))


class IntegrationBlock(nn.Module):
    """``FFN(LN(x)) + TFFN(LN'(x))``, without a residual connection (DiST Eq. 4, as released).

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.ffn = MLP(width, width)
        self.temporal_norm = nn.LayerNorm(width)
        self.temporal_ffn = TemporalFFN(width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, S, D) -> same."""
        return self.ffn(self.norm(x)) + self.temporal_ffn(self.temporal_norm(x))


class QueryBlock(nn.Module):
    """A query token attends to a sequence, then passes an MLP, both with a residual.

    Query and sequence share one norm, as in the released code.

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, count_heads(width), batch_first=True)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width, 4 * width)

    def forward(self, query: Tensor, sequence: Tensor) -> Tensor:
        """Query (B, 1, D) and sequence (B, S, D) -> query (B, 1, D)."""
        # PyTorch's own forward would read the weight of `out_proj`, which LoRA does not change.
        in_proj, heads = read_input_projection(self.attn), self.attn.num_heads
        update = cross_attend(self.norm(query), self.norm(sequence), in_proj, heads)
        query = query + apply_linear(update, self.attn.out_proj)
        return query + self.mlp(self.mlp_norm(query))


class PoolingBlock(nn.Module):
    """The token of a frame attends to the frame; the token of the clip to the frames' tokens.

    Args:
        width: D.
        num_frames: T, the number of positions.
        time_interpolation: Interpolation of the positions, see :class:`TimeTable`.
    """

    def __init__(
        self, width: int, *, num_frames: int, time_interpolation: TimeInterpolation | None
    ) -> None:
        super().__init__()
        self.space = QueryBlock(width)
        self.positions = TimeTable(num_frames, width, interpolation=time_interpolation)
        self.time = QueryBlock(width)

    def forward(self, clip: Tensor, frames: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Clip and frame tokens -> same.

        Args:
            clip: Clip token (N, 1, D).
            frames: Frame tokens (N, T, D).
            tokens: Tokens of the frames (N, T, S, D).
        """
        n, t = tokens.shape[:2]
        # Space: N*T queries, each on the S tokens of its own frame. Time: one query on T tokens.
        frames = self.space(frames.reshape(n * t, 1, -1), tokens.flatten(0, 1)).view(n, t, -1)
        return self.time(clip, frames + self.positions(t)), frames


class AdaptivePooling(nn.Module):
    """Tokens of a clip -> one token, by a stack of pooling blocks (``AdaPooling``, DiST Eq. 7).

    Args:
        width: D.
        layers: Number of blocks; as released 2 for Something-Something, 4 for Kinetics.
        num_frames: T, the number of positions.
        time_interpolation: Interpolation of the positions, see :class:`TimeTable`.
    """

    def __init__(
        self,
        width: int,
        *,
        layers: int,
        num_frames: int,
        time_interpolation: TimeInterpolation | None,
    ) -> None:
        super().__init__()
        self.clip_token = nn.Parameter(torch.empty(width))
        self.frame_token = nn.Parameter(torch.empty(width))
        for token in (self.clip_token, self.frame_token):
            nn.init.trunc_normal_(token, std=0.02)
        self.blocks = nn.ModuleList(
            PoolingBlock(width, num_frames=num_frames, time_interpolation=time_interpolation)
            for _ in range(layers)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, S, D) -> (N, D)."""
        n, t = tokens.shape[:2]
        # Copies and not views of the parameters, which the counter of multiply-adds cannot follow.
        clip, frames = self.clip_token.repeat(n, 1, 1), self.frame_token.repeat(n, t, 1)
        for block in self.blocks:
            clip, frames = block(clip, frames, tokens)
        return clip[:, 0]
