"""Maps of a layer for a clip and a score, by several methods.

Letters: T frames, L = h x w patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor

from mmstan.models.towers import Block
from mmstan.visualization.cam import Weights, attention_map, gradcam
from mmstan.visualization.layers import as_patches
from mmstan.visualization.watch import (
    Layer,
    Record,
    compute_time_weights,
    list_layers,
    plain_pass,
    record_attention,
    record_norm,
    record_output,
    record_time,
)
from mmstan.wording import check_choice

Method = Literal['gradcam', 'gradcam-video', 'elementwise', 'attention', 'attention-gradient']
METHODS: tuple[Method, ...] = get_args(Method)
_WEIGHTS: dict[Method, Weights] = {
    'gradcam': 'frame',
    'gradcam-video': 'video',
    'elementwise': 'element',
}


class Maps(NamedTuple):
    """What a score owes to a layer."""

    score: float
    maps: dict[Method, Tensor]
    """Method -> map (T', h, w), not scaled, with T' frames that the layer sees."""


def compute_maps(
    model: Any, clip: Tensor, layer: Layer, methods: Sequence[Method], score: Callable[[], Tensor]
) -> Maps:
    """Maps of a layer for one clip; hooks, modes and gradients of the model are as before.

    Args:
        model: A model with a ``backbone``.
        clip: Normalised frames (1, 3, T, H, W).
        layer: See :func:`find_layer`.
        methods: At least one.
        score: Computes the score, a scalar with a graph, from ``clip``.

    Raises:
        ValueError: The layer does not run, its output has no patches, the score has no gradient
            there, or a method needs attention and the layer has none.
    """
    value, maps = None, {}
    tokens = [method for method in methods if method in _WEIGHTS]
    attention = [method for method in methods if method not in _WEIGHTS]
    for method in methods:
        check_choice('method', method, Method)
    if tokens:
        value, a, gradient = _watch(model, clip, layer, score, attention=False, gradient=True)
        for method in tokens:
            maps[method] = gradcam(a, cast(Tensor, gradient), weights=_WEIGHTS[method])
    if attention:
        needed = 'attention-gradient' in attention
        value, p, gradient = _watch(model, clip, layer, score, attention=True, gradient=needed)
        p = p.movedim(-1, 1)  # (T', h, w, heads) -> (T', heads, h, w)
        for method in attention:
            g = cast(Tensor, gradient).movedim(-1, 1) if method == 'attention-gradient' else None
            maps[method] = attention_map(p, g)
    return Maps(cast(float, value), {method: maps[method] for method in methods})


def compute_time_matrix(
    model: Any, layer: Layer, score: Callable[[], Tensor]
) -> tuple[float, Tensor]:
    """The score, and the matrix (T, T) of a layer over time: row t hears the frames.

    Args:
        model: A model with a ``backbone``.
        layer: One of :meth:`VideoBackbone.time_layers`.
        score: Computes the score of one clip.
    """
    with plain_pass(model), torch.no_grad(), record_time(layer.module) as record:
        value = float(score())
        return value, compute_time_weights(layer.module, record.take(layer.name))


def _watch(
    model: Any,
    clip: Tensor,
    layer: Layer,
    score: Callable[[], Tensor],
    *,
    attention: bool,
    gradient: bool,
) -> tuple[float, Tensor, Tensor | None]:
    """The score, and a layer's tokens or attention (T', h, w, C or heads) with their gradient."""
    grid = model.backbone.tower.grid(clip)
    with plain_pass(model), _choose_record(layer, attention) as record:
        value = score()
        watched = record.take(layer.name)
        slope = _differentiate(value, watched) if gradient else None

    def place(x: Tensor) -> Tensor:
        if attention:  # (B, heads, Q, S) -> the class token's row, as tokens (B, S, heads)
            x = x[:, :, 0].transpose(1, 2)
        # At least float32: a tower may run in bfloat16, in which no picture is drawn.
        x = x.detach().to(torch.promote_types(x.dtype, torch.float32))
        return as_patches(x, clip, grid[0] * grid[1])[0].unflatten(1, grid)

    patches = place(watched)
    number = float(value.detach())
    if not gradient:
        return number, patches, None
    if slope is None or not (slope := place(slope)).any():
        raise ValueError(_explain_missing_gradient(model.backbone, layer))
    return number, patches, slope


def _choose_record(layer: Layer, attention: bool) -> AbstractContextManager[Record]:
    if attention and not isinstance(layer.module, Block):
        raise ValueError(
            f'layer {layer.name} is no block, so it has no attention of a class token; take '
            '--method gradcam, gradcam-video or elementwise, or another layer'
        )
    if attention:
        return record_attention(cast(Block, layer.module))
    return record_norm(cast(Block, layer.module)) if layer.inside else record_output(layer.module)


def _differentiate(value: Tensor, watched: Tensor) -> Tensor | None:
    """The gradient of a scalar at a tensor of its graph; None if it is none of its graph."""
    if not value.requires_grad:
        return None
    return torch.autograd.grad(value, watched, allow_unused=True)[0]


def _explain_missing_gradient(backbone: Any, layer: Layer) -> str:
    or_attention = ', or --method attention' if isinstance(layer.module, Block) else ''
    return (
        f"layer {layer.name} gets no gradient of the score: it runs without a graph (DiST's tower) "
        f'or nothing behind reads its patches; choose one of {list_layers(backbone)}{or_attention}'
    )
