"""Pre-norm transformer blocks whose two residual halves can be called on their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear``, which copies the bias into its result before it multiplies.

    Compiled, the bias is added by one of the passes over the result that there are anyway.
    """
    if bias is None or not torch.compiler.is_compiling():
        return F.linear(x, weight, bias)
    return F.linear(x, weight) + bias


def queries_keys_values(
    x: Tensor, in_proj: tuple[Tensor, Tensor | None], heads: int, *, queries: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """What multi-head self-attention compares and averages.

    Args:
        x: Normalised tokens (B, S, C).
        in_proj: Weight (3C, C) and bias (3C) of the query, key and value projections, stacked.
        heads: Number of heads.
        queries: Compute only the first ``queries`` rows of the queries; all S by default.

    Returns:
        Queries, keys and values (B, heads, S, C/heads); the queries with ``queries`` rows.
    """
    weight, bias = in_proj
    b, s, c = x.shape
    if queries is None:
        qkv = linear(x, weight, bias).view(b, s, 3, heads, c // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v
    q_bias, kv_bias = (None, None) if bias is None else (bias[:c], bias[c:])
    q = linear(x[:, :queries], weight[:c], q_bias)
    q = q.view(b, queries, heads, c // heads).transpose(1, 2)
    kv = linear(x, weight[c:], kv_bias).view(b, s, 2, heads, c // heads)
    k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Queries, keys and values (B, heads, S, C/heads) -> (B, S, C), without a projection."""
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def self_attention(x: Tensor, in_proj: tuple[Tensor, Tensor | None], heads: int) -> Tensor:
    """Multi-head self-attention before its output projection, (B, S, C) -> same.

    See :func:`queries_keys_values` for the arguments.
    """
    return attention(*queries_keys_values(x, in_proj, heads))


def quick_gelu_mlp(x: Tensor, up: nn.Linear, down: nn.Linear) -> Tensor:
    """``down(q(up(x)))`` with QuickGELU ``q(h) = h sigmoid(1.702 h) = silu(1.702 h) / 1.702``.

    The two factors go into the matrix products, where they cost nothing, so that one pass over the
    wide activations is left of three. The layers' weights are read, their ``forward`` (and hooks on
    it) is not called.

    Args:
        x: Tokens (..., C).
        up: Linear layer C -> 4C.
        down: Linear layer 4C -> C.

    Returns:
        Tokens (..., C).
    """
    scale = 1.702
    if torch.compiler.is_compiling():  # the compiler merges the factors into its own passes
        h = F.silu(scale * linear(x, up.weight, up.bias))
        return F.linear(h, down.weight) / scale + down.bias
    h = torch.addmm(up.bias, x.flatten(0, -2), up.weight.T, beta=scale, alpha=scale)
    h = torch.addmm(down.bias, F.silu(h), down.weight.T, alpha=1 / scale)
    return h.unflatten(0, x.shape[:-1])


class Block(nn.Module, ABC):
    """``x + attend(x)``, then ``x + feed_forward(x)``, on tokens (B, S, C) for any S."""

    @abstractmethod
    def queries_keys_values(
        self, x: Tensor, queries: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What attention compares and averages, norm included: see :func:`queries_keys_values`."""

    @abstractmethod
    def project_out(self, x: Tensor) -> Tensor:
        """Attention's result (B, S, C) -> its residual update, same shape."""

    @abstractmethod
    def feed_forward(self, x: Tensor) -> Tensor:
        """The MLP's residual update of ``x`` (B, S, C), norm included."""

    def attend(self, x: Tensor, queries: int | None = None) -> Tensor:
        """Attention's residual update of ``x`` (B, S, C), norm included.

        ``queries`` limits the result to the first ``queries`` rows; keys and values stay all S.
        """
        return self.project_out(attention(*self.queries_keys_values(x, queries)))

    def attend_with_queries_keys(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``attend(x)``, and the queries and keys (B, heads, S, C/heads) that it is made of."""
        q, k, v = self.queries_keys_values(x)
        return self.project_out(attention(q, k, v)), q, k

    def forward(self, x: Tensor, update: Tensor | None = None) -> Tensor:
        """(B, S, C) -> (B, S, C); ``update`` is ``attend(x)`` where that is known already."""
        x = x + (self.attend(x) if update is None else update)
        return x + self.feed_forward(x)

    def first_row(self, x: Tensor) -> Tensor:
        """``self(x)[:, :1]`` without computing the other rows: (B, S, C) -> (B, 1, C)."""
        row = x[:, :1] + self.attend(x, queries=1)
        return row + self.feed_forward(row)


class OpenClipBlock(Block):
    """An open_clip block: its own layers under its own parameter names.

    Args:
        block: The block that gives its layers away.
    """

    def __init__(self, block: ResidualAttentionBlock) -> None:
        super().__init__()
        self.ln_1, self.attn, self.ls_1 = block.ln_1, block.attn, block.ls_1
        self.ln_2, self.mlp, self.ls_2 = block.ln_2, block.mlp, block.ls_2

    def queries_keys_values(
        self, x: Tensor, queries: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`Block.queries_keys_values`."""
        in_proj = self.attn.in_proj_weight, self.attn.in_proj_bias
        return queries_keys_values(self.ln_1(x), in_proj, self.attn.num_heads, queries=queries)

    def project_out(self, x: Tensor) -> Tensor:
        """See :meth:`Block.project_out`."""
        out_proj = self.attn.out_proj
        return self.ls_1(linear(x, out_proj.weight, out_proj.bias))

    def feed_forward(self, x: Tensor) -> Tensor:
        """See :meth:`Block.feed_forward`."""
        x = self.ln_2(x)
        if isinstance(self.mlp.gelu, QuickGELU):
            return self.ls_2(quick_gelu_mlp(x, self.mlp.c_fc, self.mlp.c_proj))
        return self.ls_2(self.mlp(x))


class MMPretrainBlock(Block):
    """A block of MMPretrain's ``VisionTransformer``: its own layers and parameter names.

    Args:
        layer: The ``TransformerEncoderLayer`` that gives its layers away.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.ln1, self.attn, self.ln2, self.ffn = layer.ln1, layer.attn, layer.ln2, layer.ffn
        for dropout in (self.attn.out_drop, self.ffn.dropout_layer):
            if hasattr(dropout, 'drop_prob'):  # a NumPy number, on which torch.compile stumbles
                dropout.drop_prob = float(dropout.drop_prob)

    def queries_keys_values(
        self, x: Tensor, queries: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`Block.queries_keys_values`."""
        in_proj = self.attn.qkv.weight, self.attn.qkv.bias
        return queries_keys_values(self.ln1(x), in_proj, self.attn.num_heads, queries=queries)

    def project_out(self, x: Tensor) -> Tensor:
        """See :meth:`Block.project_out`."""
        attn = self.attn
        return attn.out_drop(attn.gamma1(attn.proj_drop(attn.proj(x))))

    def feed_forward(self, x: Tensor) -> Tensor:
        """See :meth:`Block.feed_forward`."""
        return self.ffn(self.ln2(x), identity=torch.zeros((), dtype=x.dtype, device=x.device))
