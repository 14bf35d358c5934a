"""A layer of EVL's decoder, and the temporal modules on the frames that it attends to.

Letters: N clips, T frames, L patches, C width of the tower.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from mmstan.models.layers.attention import compute_attention_weights, is_plain
from mmstan.models.layers.depthwise_conv import DepthwiseTemporalConv
from mmstan.models.layers.time_table import stretch_when_loaded


class DecoderLayer(nn.Module):
    """The query token attends to all tokens of a tower block, mixed with the frames next to them.

    Args:
        width: C, the tower's width.
        heads: Heads of the decoder's attention.
        attention_width: Width of the decoder's queries, keys and values.
        num_frames: T, length of the time table; a checkpoint's of another length is stretched.
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
        stretch_when_loaded(self, 'time_embedding')
        self.neighbours = NeighbourAttention(width, grid=grid)
        self.mixed = nn.Identity()  # its output is the layer's, in pictures of features
        self.norm_query, self.norm_frames = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads=heads, attention_width=attention_width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            QuickGELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * width, width),
        )

    def forward(
        self,
        query: Tensor,
        x: Tensor,
        queries: Tensor,
        keys: Tensor,
        every_token: bool = False,
    ) -> Tensor:
        """Query token (N, 1, C) -> same.

        Args:
            query: The query token.
            x: Output of a tower block (N, T, 1 + L, C).
            queries: That block's queries of the patches (N, T, heads, L, C/heads).
            keys: That block's keys, same shape.
            every_token: See :meth:`CrossAttention.forward`.
        """
        # Pre-norm cross-attention on all T * (1 + L) tokens of the clip, then an MLP.
        frames = self.norm_frames(self.mix_frames(x, queries, keys))
        query = query + self.attention(self.norm_query(query), frames.flatten(1, 2), every_token)
        return query + self.mlp(self.norm_mlp(query))

    def mix_frames(self, x: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
        """The block's tokens (N, T, 1 + L, C) with features of the frames next to each.

        Three residual updates: a convolution over time, time positions, the neighbours' offsets.

        Raises:
            ValueError: T is not ``num_frames``.
        """
        if x.shape[1] != len(self.time_embedding):
            raise ValueError(
                f'{x.shape[1]} frames, but num_frames={len(self.time_embedding)}; sample as many, '
                'or set it'
            )
        x = x + self.conv(x)
        # (T, 1, C): one vector a frame for all its tokens.
        x = x + self.time_embedding[:, None].to(x.dtype)
        # Patches alone have neighbours; the class token gets 0.
        return self.mixed(x + F.pad(self.neighbours(queries, keys), (0, 0, 1, 0)))


class NeighbourAttention(nn.Module):
    """Attention of a patch to the previous and the next frame, as mean learned offset vectors.

    The weights come from the tower's queries and keys. A value is a learned vector for the offset
    (rows, columns) between the patch and the attended one, so the result shows where the content of
    the patch moves.

    Args:
        width: C, the tower's width.
        grid: Rows and columns of patches.
    """

    def __init__(self, width: int, *, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = rows, columns = grid
        # One vector for each offset (rows, columns): -(rows - 1) to rows - 1, columns likewise.
        self.previous = nn.Parameter(torch.zeros((2 * rows - 1) * (2 * columns - 1), width))
        self.next = nn.Parameter(torch.zeros_like(self.previous))

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Queries and keys of a tower block -> update of the patches (N, T, L, C).

        Args:
            queries: (N, T, heads, L, C/heads).
            keys: Same shape.
        """
        # Frame t attends to t - 1 and to t + 1.
        before = self._gather(queries[:, 1:], keys[:, :-1], self.previous)  # (N, T - 1, L, C)
        after = self._gather(queries[:, :-1], keys[:, 1:], self.next)
        # The first frame has no previous one and the last no next one: their terms are 0.
        return F.pad(before, (0, 0, 0, 0, 1, 0)) + F.pad(after, (0, 0, 0, 0, 0, 1))

    def _gather(self, q: Tensor, k: Tensor, table: Tensor) -> Tensor:
        """Queries and keys (N, T', heads, L, C/heads) -> mean offset vectors (N, T', L, C)."""
        # The plain softmax attention of the block, but its weights are needed themselves.
        weights = compute_attention_weights(q, k).mean(dim=2).to(table.dtype)  # (N, T', L, L)
        return average_offsets(weights.flatten(0, 1), table, self.grid).unflatten(
            0, weights.shape[:2]
        )


class CrossAttention(nn.Module):
    """Multi-head cross-attention; queries, keys and values may have another width than the tokens.

    Args:
        width: C, width of the inputs and the output.
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

    def forward(self, query: Tensor, x: Tensor, every_token: bool = False) -> Tensor:
        """Query (N, Q, C) on tokens (N, S, C) -> (N, Q, C).

        One query reads the tokens without their keys and values (:meth:`_read_out`), unless
        ``every_token`` asks for them.
        """
        q = self.query(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        if query.shape[1] == 1 and is_plain(self.key_value) and not every_token:
            return self.out(self._read_out(q, x))
        kv = self.key_value(x).unflatten(-1, (2, self.heads, -1))  # (N, S, 2, heads, width)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v)  # (N, heads, Q, width)
        return self.out(out.transpose(1, 2).flatten(2))

    def _read_out(self, q: Tensor, x: Tensor) -> Tensor:
        """One query a head (N, heads, 1, width) on tokens (N, S, C) -> (N, 1, heads * width).

        Neither keys nor values are computed. With k_s = W x_s + b the score of a token is
        ``q . k_s = (W^T q) . x_s + q . b``, whose last term is the same for all tokens and leaves
        the softmax. Values are averaged before they are projected: ``sum_s a_s (V x_s + c) =
        V (sum_s a_s x_s) + c``. Equal but for rounding.
        """
        # (2, heads, width, C): a matrix a head for its key, and one for its value.
        key, value = self.key_value.weight.unflatten(0, (2, self.heads, -1)).unbind(0)
        folded = torch.einsum('nhqd,hdc->nhqc', q, key).transpose(1, 2)  # (N, 1, heads, C)
        tokens = x[:, None]
        scale = q.shape[-1] ** -0.5
        mean = F.scaled_dot_product_attention(folded, tokens, tokens, scale=scale)
        out = torch.einsum('nqhc,hdc->nqhd', mean, value).flatten(2)
        bias = self.key_value.bias
        return out if bias is None else out + bias.chunk(2)[1]


def average_offsets(weights: Tensor, table: Tensor, grid: tuple[int, int]) -> Tensor:
    """Sum over keys of attention weight times the learned vector of the offset query - key.

    ``out[b, q] = sum_k weights[b, q, k] table[offset(q - k)]``. For a query at ``(r, c)`` the
    vectors are the window of the table that starts at row r and column c, with the keys in reverse
    order. So the table is read in place. A copy for each pair of patches would be (L, L, C) and
    take several times as long.

    Args:
        weights: Attention weights (B, L, L), queries before keys.
        table: A vector for each offset of location, query minus key, row by row,
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
    # (2 rows - 1, 2 columns - 1, C): entry (rows - 1, columns - 1) is the offset (0, 0).
    table = table.unflatten(0, (2 * rows - 1, 2 * columns - 1))
    # Keys from the last to the first, since the table rises with query - key.
    weights = weights.flip(-1).unflatten(1, grid).permute(2, 1, 0, 3)  # (columns, rows, B, L)
    # One product for each column c of queries: all rows at once, as overlapping windows.
    sums = []
    for c in range(columns):
        offsets = table[:, c : c + columns].contiguous().unfold(0, rows, 1)
        offsets = offsets.permute(0, 3, 1, 2).flatten(1, 2)  # (rows, L, C), of overlapping memory
        sums.append(torch.bmm(weights[c], offsets))  # (rows, B, C)
    return torch.stack(sums, dim=1).flatten(0, 1).transpose(0, 1)
