"""A layer of EVL's decoder, and what it does to the frames before it looks at them.

Letters: N clips, T frames, L patches, C width of the tower.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from mmstan.models.layers.depthwise_conv import DepthwiseTemporalConv


class DecoderLayer(nn.Module):
    """The query token sees all tokens of a tower block, after these have seen the frames beside.

    Args:
        width: C, the tower's width.
        heads: Heads of the decoder's attention.
        attention_width: Width of its queries, keys and values.
        num_frames: T, length of the time table.
        grid: Rows and columns of patches.
        dropout: Dropout in the MLP.
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        attention_width: int,
        num_frames: int,
        grid: tuple[int, int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.conv = DepthwiseTemporalConv(width)
        self.time_embedding = nn.Parameter(torch.zeros(num_frames, width))
        self.neighbours = NeighbourAttention(width, grid=grid)
        self.norm_query, self.norm_frames = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads=heads, attention_width=attention_width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            QuickGELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )

    def forward(self, query: Tensor, x: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
        """Query token (N, 1, C) -> same.

        Args:
            query: The query token.
            x: Output of a tower block (N, T, 1 + L, C).
            queries: That block's queries of the patches (N, T, heads, L, C/heads).
            keys: And its keys.
        """
        frames = self.norm_frames(self.mix_frames(x, queries, keys))
        query = query + self.attention(self.norm_query(query), frames.flatten(1, 2))
        return query + self.mlp(self.norm_mlp(query))

    def mix_frames(self, x: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
        """The block's tokens (N, T, 1 + L, C) with what is different in the frames beside.

        Raises:
            ValueError: T is not ``num_frames``.
        """
        if x.shape[1] != len(self.time_embedding):
            raise ValueError(
                f'{x.shape[1]} frames, but num_frames={len(self.time_embedding)}; sample as many, '
                'or set it'
            )
        x = x + self.conv(x)
        x = x + self.time_embedding[:, None].to(x.dtype)
        return x + F.pad(self.neighbours(queries, keys), (0, 0, 1, 0))  # 0 for the class token


class NeighbourAttention(nn.Module):
    """Where a patch's like has gone in the frames beside, as a sum of learned offset vectors.

    Args:
        width: C, the tower's width.
        grid: Rows and columns of patches.
    """

    def __init__(self, width: int, *, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = rows, columns = grid
        # A vector for each (rows, columns) by which the patch in the other frame lies elsewhere.
        self.previous = nn.Parameter(torch.zeros((2 * rows - 1) * (2 * columns - 1), width))
        self.next = nn.Parameter(torch.zeros_like(self.previous))

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Queries and keys of a tower block -> update of the patches (N, T, L, C).

        Args:
            queries: (N, T, heads, L, C/heads).
            keys: The same.
        """
        before = self._gather(queries[:, 1:], keys[:, :-1], self.previous)  # (N, T - 1, L, C)
        after = self._gather(queries[:, :-1], keys[:, 1:], self.next)
        # The first frame has none before it, the last none after it.
        return F.pad(before, (0, 0, 0, 0, 1, 0)) + F.pad(after, (0, 0, 0, 0, 0, 1))

    def _gather(self, q: Tensor, k: Tensor, table: Tensor) -> Tensor:
        """Attention (N, T', heads, L, C/heads), averaged over heads -> mean offset vector."""
        weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        weights = weights.softmax(dim=-1).mean(dim=2).to(table.dtype)  # (N, T', L, L)
        return average_offsets(weights.flatten(0, 1), table, self.grid).unflatten(
            0, weights.shape[:2]
        )


class CrossAttention(nn.Module):
    """Multi-head attention whose queries, keys and values may have a width of their own.

    Args:
        width: C, of what comes in and goes out.
        heads: Number of heads.
        attention_width: Width of queries, keys and values, a multiple of ``heads``.
    """

    def __init__(self, width: int, *, heads: int, attention_width: int) -> None:
        super().__init__()
        if attention_width % heads:
            raise ValueError(f'heads={heads} must divide attention_width={attention_width}')
        self.heads = heads
        self.query = nn.Linear(width, attention_width)
        self.key_value = nn.Linear(width, 2 * attention_width)
        self.out = nn.Linear(attention_width, width)

    def forward(self, query: Tensor, x: Tensor) -> Tensor:
        """Query (N, Q, C) on tokens (N, S, C) -> (N, Q, C)."""
        q = self.query(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        kv = self.key_value(x).unflatten(-1, (2, self.heads, -1))  # (N, S, 2, heads, width)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v)  # (N, heads, Q, width)
        return self.out(out.transpose(1, 2).flatten(2))


def average_offsets(weights: Tensor, table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Vectors of the places that each patch looks to, relative to its own, weighted and summed.

    The table is read in place: the offsets to a patch at ``(r, c)`` are its rows from r and columns
    from c on, over keys from the last to the first. A copy for each pair of patches would be
    (L, L, C), which takes several times as long.

    Args:
        weights: Of queries and keys (B, L, L).
        table: A vector for each offset, query's place minus key's, rows before columns,
            ((2 rows - 1)(2 columns - 1), C).
        grid: Rows and columns of patches, whose product is L.

    Returns:
        (B, L, C).

    >>> average_offsets(torch.eye(3)[None], torch.arange(5.0)[:, None], (1, 3)).flatten()
    tensor([2., 2., 2.])
    >>> average_offsets(torch.eye(3)[None, [1, 2, 0]], torch.arange(5.0)[:, None], (1, 3)).flatten()
    tensor([1., 1., 4.])
    """
    rows, columns = grid
    table = table.unflatten(0, (2 * rows - 1, 2 * columns - 1))
    weights = weights.flip(-1).unflatten(1, grid).permute(2, 1, 0, 3)  # (columns, rows, B, L)
    sums = []
    for c in range(columns):
        offsets = table[:, c : c + columns].contiguous().unfold(0, rows, 1)
        offsets = offsets.permute(0, 3, 1, 2).flatten(1, 2)  # (rows, L, C), of overlapping memory
        sums.append(torch.bmm(weights[c], offsets))  # (rows, B, C)
    return torch.stack(sums, dim=1).flatten(0, 1).transpose(0, 1)
