"""See tokens and attention weights of a layer in a pass, with the gradient of a score at them.

Letters: N clips, T frames, L patches, C channels, B sequences, S tokens, Q queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmstan.models.backbones import VideoBackbone
from mmstan.models.layers.attention import (
    average_values,
    compute_attention_weights,
    project_queries_keys_values,
    read_input_projection,
)
from mmstan.models.towers import Block
from mmstan.visualization.layers import find_last_tensor
from mmstan.wording import name_a_few


class Layer(NamedTuple):
    """A layer of a backbone that a picture looks at."""

    name: str
    module: nn.Module
    inside: bool = False
    """Whether it is a block with a graph inside, so that its norm and its attention are watched."""
    over_time: bool = False
    """Whether it is attention among the frames."""


class Record:
    """The tensors that a layer gave in a pass, one each time it ran."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []

    def take(self, layer: str) -> Tensor:
        """The tensor of the layer named ``layer``.

        Raises:
            ValueError: The layer did not run in the pass, or several times.
        """
        if len(self.tensors) != 1:
            times = f'runs {len(self.tensors)} times' if self.tensors else 'does not run'
            raise ValueError(
                f'layer {layer} {times} in this pass, and a map needs it once; choose another'
            )
        return self.tensors[0]


def find_layer(backbone: VideoBackbone, name: str) -> Layer:
    """The layer of a name: ``'tower.12'``, ``'branch.2'``, ``'time.2'``, or a module's own.

    The short names are those of :meth:`VideoBackbone.named_layers` and
    :meth:`VideoBackbone.time_layers`.

    Raises:
        ValueError: There is no such layer.
    """
    over_time = backbone.time_layers()
    if name in over_time:
        return Layer(name, over_time[name], over_time=True)
    named = backbone.named_layers()
    module = named.get(name) or dict(backbone.named_modules()).get(name or ' ')
    if module is None:
        raise ValueError(
            f'--layer {name}: {type(backbone).__name__} has {list_layers(backbone)}; or give the '
            'name of one of its modules'
        )
    in_tower = any(module is block for block in backbone.tower.blocks)
    inside = isinstance(module, Block) and (backbone.tower_has_graph or not in_tower)
    return Layer(name, module, inside=inside)


def list_layers(backbone: VideoBackbone) -> str:
    """Write the short names of a backbone's layers."""
    return name_a_few([*backbone.named_layers(), *backbone.time_layers()], most=60)


@contextmanager
def record_norm(block: Block) -> Iterator[Record]:
    """Within, keep the tokens (B, S, C) behind the norm in front of the block's attention.

    They become a leaf of the graph: nothing above it is kept for a gradient, and a frozen tower
    has one as well.
    """
    with record_output(block.attention_norm) as record:
        yield record


@contextmanager
def record_output(module: nn.Module) -> Iterator[Record]:
    """Within, keep the output of a module, of several tensors the last, as a leaf of the graph."""
    record = Record()

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        last = find_last_tensor(output)
        leaf = last.detach().requires_grad_()
        record.tensors.append(leaf)
        return _replace(output, last, leaf)

    handle = module.register_forward_hook(hook)
    try:
        yield record
    finally:
        handle.remove()


def _replace(output: Any, old: Tensor, new: Tensor) -> Any:
    """``output`` with the tensor ``new`` for ``old``."""
    if isinstance(output, Tensor):
        return new
    parts = [new if part is old else part for part in output]
    return type(output)(*parts) if hasattr(output, '_fields') else type(output)(parts)


@contextmanager
def record_attention(block: Block) -> Iterator[Record]:
    """Within, keep the block's attention weights (B, heads, Q, S), as a leaf of the graph.

    The fused kernel, which does not give them, is replaced by the plain softmax.
    """
    record = Record()

    def mix_values(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = compute_attention_weights(q, k).detach().requires_grad_()
        record.tensors.append(weights)
        return block.project_out(average_values(weights, v))

    block.mix_values = mix_values  # type: ignore[method-assign]
    try:
        yield record
    finally:
        del block.mix_values


@contextmanager
def record_time(module: Any) -> Iterator[Record]:
    """Within, keep the input of attention among frames, (N, T, C) or (N, T, L, C)."""
    with record_output(module.norm) as record:
        yield record


def compute_time_weights(module: Any, tokens: Tensor) -> Tensor:
    """Attention among frames, mean over heads and places, (T, T); rows, which hear, sum to 1.

    Args:
        module: One of :meth:`VideoBackbone.time_layers`.
        tokens: Its normalised tokens of one clip, (1, T, C) or (1, T, L, C).
    """
    x = tokens[0] if tokens.ndim == 4 else tokens[0, :, None]  # (T, L, C)
    in_proj, heads = read_input_projection(module.attn), module.attn.num_heads
    # A sequence is one place over time: (L, T, C) -> (L, heads, T, C/heads).
    q, k, _ = project_queries_keys_values(x.transpose(0, 1), in_proj, heads)
    return compute_attention_weights(q, k).mean(dim=(0, 1))


@contextmanager
def plain_pass(model: nn.Module) -> Iterator[None]:
    """Within, the model is in evaluation mode, keeps gradients, and recomputes no layer.

    Checkpointing would run a layer again in the backward pass, with another leaf. Afterwards all
    modes are as before.
    """
    modes = {module: module.training for module in model.modules()}
    recomputing: list[Any] = [m for m in modes if getattr(m, 'checkpointing', False)]
    try:
        model.eval()
        for module in recomputing:
            module.checkpointing = False
        with torch.enable_grad():
            yield
    finally:
        for module in recomputing:
            module.checkpointing = True
        for module, mode in modes.items():
            module.training = mode
