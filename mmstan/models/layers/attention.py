"""Attention and MLP on tokens, by PyTorch's fused kernels.

Letters: B sequences, S tokens, C width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
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
