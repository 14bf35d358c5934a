"""Attention and MLP on tokens, by PyTorch's fused kernels.

Letters: B sequences, S tokens, C width.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

_PLAIN = (nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear)
_HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')


def is_plain(layer: nn.Module) -> bool:
    """Whether ``layer`` computes ``x W^T + b`` and no more, so that a fused path may read W and b.

    LoRA's wrappers, quantised and parametrised layers, layers with hooks and layers whose
    ``forward`` was replaced compute something else: call them.
    """
    if type(layer) not in _PLAIN or 'forward' in vars(layer):
        return False
    if any(getattr(layer, hooks) for hooks in _HOOKS):
        return False
    # Torchao leaves the layer as it is and replaces the weight by a subclass of Tensor. FakeTensor
    # has a shape and no values, for counting.
    plain = (Tensor, nn.Parameter, FakeTensor)
    return torch.compiler.is_compiling() or type(layer.weight) in plain


def apply_linear(x: Tensor, layer: nn.Module) -> Tensor:
    """``layer(x)``, by :func:`linear` where the layer is a plain one."""
    if not is_plain(layer):
        return layer(x)
    plain = cast(nn.Linear, layer)
    return linear(x, plain.weight, plain.bias)


def read_input_projection(attn: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight (3C, C) and bias (3C) of the queries, keys and values of ``attn``.

    Raises:
        TypeError: ``attn`` is not an ``nn.MultiheadAttention`` but, for example, a wrapper around
            one; the wrapper's own weights would not be used.
    """
    if not isinstance(attn, nn.MultiheadAttention):
        raise TypeError(
            f'attention is a {type(attn).__name__}, expected nn.MultiheadAttention: queries, '
            'keys and values are computed from in_proj_weight, which a wrapper does not change; '
            'wrap out_proj, mlp.c_fc and mlp.c_proj, or parametrise in_proj_weight'
        )
    return attn.in_proj_weight, attn.in_proj_bias


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.linear``; when compiled, the bias is added after the product.

    ``F.linear`` copies the bias into its result before it multiplies. The compiler adds the bias in
    a pass over the result that it makes anyway.
    """
    if bias is None or not torch.compiler.is_compiling():
        return F.linear(x, weight, bias)
    product = F.linear(x, weight)
    return product + bias.to(product.dtype)  # autocast's type, not the bias's


def project_queries_keys_values(
    x: Tensor, in_proj: tuple[Tensor, Tensor | None], heads: int, *, queries: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of multi-head self-attention.

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
        # (B, S, 3C) -> (3, B, heads, S, C/heads), by one product.
        qkv = linear(x, weight, bias).view(b, s, 3, heads, c // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return q, k, v
    # Queries of the first rows alone, keys and values of all: two products, none of unread rows.
    q_bias, kv_bias = (None, None) if bias is None else (bias[:c], bias[c:])
    q = linear(x[:, :queries], weight[:c], q_bias)
    q = q.view(b, queries, heads, c // heads).transpose(1, 2)
    kv = linear(x, weight[c:], kv_bias).view(b, s, 2, heads, c // heads)
    k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Queries, keys and values (B, heads, S, C/heads) -> (B, S, C), without a projection."""
    b, heads, queries, width = q.shape
    # The device first: an export on a CPU with free lengths is not tied to this arithmetic.
    if q.is_cuda and b > (most := find_most_sequences(heads, max(queries, k.shape[2]), width)):
        mixed = attend_in_parts(q, k, v, most)
    else:
        mixed = F.scaled_dot_product_attention(q, k, v)
    return mixed.transpose(1, 2).flatten(2)


def find_most_sequences(heads: int, length: int, width: int) -> int:
    """B, the most sequences that CUDA's fused kernels take at once; attention over time has many.

    The grid of the forward pass ends at 65535. FlashAttention's backward pass has a buffer of
    sequences x heads x rows x columns, which it indexes by 32 bits: with more elements it ends in
    an illegal memory access.

    Args:
        heads: Number of heads.
        length: S, tokens of a sequence, which the buffer rounds up to a multiple of 128.
        width: C/heads, which it rounds up to a multiple of 32.

    >>> find_most_sequences(12, 8, 64)
    21845
    """
    rows, columns = -(-length // 128) * 128, -(-width // 32) * 32
    return max(1, min(2**16 - 1, (2**31 - 1) // (heads * rows * columns)))


def attend_in_parts(q: Tensor, k: Tensor, v: Tensor, most: int) -> Tensor:
    """``F.scaled_dot_product_attention`` of at most ``most`` sequences at once."""
    parts = zip(q.split(most), k.split(most), v.split(most))
    return torch.cat([F.scaled_dot_product_attention(*part) for part in parts])


def compute_attention_weights(q: Tensor, k: Tensor) -> Tensor:
    """Queries (..., Q, C/heads) and keys (..., S, C/heads) -> weights (..., Q, S), rows sum to 1.

    The fused kernels of :func:`attention` do not give them.
    """
    return ((q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)).softmax(dim=-1)


def average_values(weights: Tensor, v: Tensor) -> Tensor:
    """Weights (B, heads, Q, S) and values (B, heads, S, C/heads) -> (B, Q, C).

    ``average_values(compute_attention_weights(q, k), v)`` is ``attention(q, k, v)``, but for
    rounding.
    """
    return (weights @ v).transpose(1, 2).flatten(2)


def self_attend(x: Tensor, in_proj: tuple[Tensor, Tensor | None], heads: int) -> Tensor:
    """Multi-head self-attention before its output projection, (B, S, C) -> same.

    See :func:`project_queries_keys_values` for the arguments.
    """
    return attention(*project_queries_keys_values(x, in_proj, heads))


def cross_attend(
    x: Tensor, sequence: Tensor, in_proj: tuple[Tensor, Tensor | None], heads: int
) -> Tensor:
    """Multi-head attention of queries to a sequence before its output projection.

    Args:
        x: Normalised tokens (B, Q, C), which ask.
        sequence: Normalised tokens (B, S, C), of the keys and values.
        in_proj: Weight (3C, C) and bias (3C) of the query, key and value projections, stacked.
        heads: Number of heads.

    Returns:
        Tokens (B, Q, C).
    """
    weight, bias = in_proj
    c = weight.shape[1]
    q_bias, kv_bias = (None, None) if bias is None else (bias[:c], bias[c:])
    q = linear(x, weight[:c], q_bias).unflatten(-1, (heads, -1)).transpose(1, 2)
    kv = linear(sequence, weight[c:], kv_bias).unflatten(-1, (2, heads, -1))
    k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, S, C/heads)
    return attention(q, k, v)


def apply_quick_gelu_mlp(x: Tensor, up: nn.Module, down: nn.Module) -> Tensor:
    """``down(q(up(x)))`` with QuickGELU ``q(h) = h sigmoid(1.702 h) = silu(1.702 h) / 1.702``.

    The factors 1.702 and 1 / 1.702 are applied to the narrow tokens before and after: one pass over
    the wide activations remains of three. As factors of ``torch.addmm`` they would cost passes over
    the weights in the backward pass. Layers that are not plain (:func:`is_plain`) are called.

    Args:
        x: Tokens (..., C).
        up: Linear layer C -> 4C.
        down: Linear layer 4C -> C.

    Returns:
        Tokens (..., C).
    """
    if not (is_plain(up) and is_plain(down)):
        return down(QuickGELU()(up(x)))
    up, down = cast(nn.Linear, up), cast(nn.Linear, down)
    scale = 1.702
    if torch.compiler.is_compiling():  # the compiler merges the factors into its own passes
        h = F.silu(scale * linear(x, up.weight, up.bias))
        h = F.linear(h, down.weight)
        return h / scale + down.bias.to(h.dtype)  # autocast's type, not the bias's
    # h = 1.702 (x W^T + b), then down(silu(h)) / 1.702; the bias of `down` is not divided.
    h = F.silu(F.linear(scale * x, up.weight, scale * up.bias))
    h = F.linear(h, down.weight)
    return torch.add(down.bias.to(h.dtype), h, alpha=1 / scale)
