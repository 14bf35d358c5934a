"""Collect the output tokens of a backbone's layers for a clip.

Letters: N clips, T frames, L patches, C channels.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mmstan.models.backbones import VideoBackbone
from mmstan.models.towers import Block

_OUTPUT = 'output'  # the group of the backbone's own tokens


def group_layers(
    backbone: VideoBackbone, extra: Mapping[str, str] | None = None
) -> dict[str, list[nn.Module]]:
    """Name -> layers, in order: the tower's blocks, the method's own layers, and ``extra`` groups.

    Args:
        backbone: It names its own groups (:meth:`VideoBackbone.layer_groups`).
        extra: Name of one more group -> regular expression of its layers' names in the backbone.

    Raises:
        ValueError: An expression is none, or matches no layer; or a group is named ``'output'``.
    """
    groups = backbone.layer_groups()
    for name, pattern in (extra or {}).items():
        if name == _OUTPUT:
            raise ValueError(f"{name}={pattern}: 'output' is the backbone's own; rename it")
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise ValueError(f'{name}={pattern}: no regular expression, {error}') from error
        groups[name] = [m for key, m in backbone.named_modules() if expression.fullmatch(key)]
        if not groups[name]:
            raise ValueError(
                f'{name}={pattern}: no module of {type(backbone).__name__} has such a name; it is '
                "a regular expression of all of it, such as 'tower\\.visual\\.ln_pre'"
            )
    return groups


@torch.no_grad()
def collect_layer_tokens(
    backbone: VideoBackbone, clip: Tensor, groups: Mapping[str, Sequence[nn.Module]]
) -> dict[str, list[Tensor]]:
    """Group -> output tokens of each layer for a clip (N, 3, T, H, W).

    The group ``'output'`` is added; it has the backbone's own tokens. All tokens are patches
    (N, T', L, C) without class tokens, where T' is the number of frames that the layer sees. Of the
    backbone's own groups those are left out whose layers are not called as modules; of a block its
    second half, ``feed_forward``, is enough.

    Raises:
        ValueError: A layer gives no tokens of the clip's patches, or none of an extra group is run.
    """
    rows, columns = backbone.tower.grid(clip)
    found: dict[str, list[Tensor]] = {name: [] for name in groups}
    names: dict[nn.Module, list[str]] = defaultdict(list)
    for name, layers in groups.items():
        for layer in layers:
            names[layer].append(name)

    def keep(layer: nn.Module, output: Any) -> None:
        for name in names[layer]:
            found[name].append(as_patches(output, clip, rows * columns))

    with ExitStack() as stack:
        for layer in names:
            stack.enter_context(_watch(layer, partial(keep, layer)))
        output = backbone.run_every_token(clip)
    own = backbone.layer_groups()
    if idle := [x for x, layers in found.items() if not layers and groups[x] != own.get(x)]:
        raise ValueError(
            f'--layers {idle[0]}: no such module of {type(backbone).__name__} is called where its '
            'tokens are computed; choose others'
        )
    found = {name: layers for name, layers in found.items() if layers}
    return {**found, _OUTPUT: [as_patches(output, clip, rows * columns)]}


@contextmanager
def _watch(layer: nn.Module, keep: Callable[[Any], None]) -> Iterator[None]:
    """Within, give each output of a layer to ``keep``.

    A block's output is seen in its second half: X-CLIP and others call the halves, not the block.
    """
    if not isinstance(layer, Block):
        handle = layer.register_forward_hook(lambda module, inputs, output: keep(output))
        try:
            yield
        finally:
            handle.remove()
        return

    def feed_forward(x: Tensor) -> Tensor:
        update = type(layer).feed_forward(layer, x)
        keep(x + update)
        return update

    layer.feed_forward = feed_forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        del layer.feed_forward


def as_patches(output: Any, clip: Tensor, patches: int) -> Tensor:
    """Reshape a layer's output to patches (N, T', L, C), with T' frames that the layer sees.

    Class tokens, which are first, and X-CLIP's messages, which are last, are cut away.

    Args:
        output: (N, C, T', rows, columns); or (N, T', S, C) or (N*T', S, C) with S = L, S = 1 + L
            with the class token, or S = 2 + L with the message, too; or (N, 1 + T*L, C), one frame
            after another; or a tuple whose last tensor has one of these shapes.
        clip: The clip (N, 3, T, H, W) that the layer belongs to.
        patches: L.

    Raises:
        ValueError: The output has none of these shapes.
    """
    x = find_last_tensor(output)
    n, t = clip.shape[0], clip.shape[2]
    if x.ndim == 5:
        x = x.flatten(3).permute(0, 2, 3, 1)  # (N, C, T', L) -> (N, T', L, C)
    elif x.ndim == 3 and t > 1 and x.shape[:2] == (n, 1 + t * patches):
        x = x[:, 1:].unflatten(1, (t, patches))
    elif x.ndim == 3 and len(x) % n == 0:
        x = x.unflatten(0, (n, -1))  # (N, T', S, C)
    # Tokens in front of the patches, by S.
    first = {patches: 0, 1 + patches: 1, 2 + patches: 1}
    if x.ndim != 4 or len(x) != n or x.shape[2] not in first:
        raise ValueError(
            f'a layer gives {tuple(x.shape)}, which are no tokens of {n} clips with {patches} '
            'patches a frame; choose other layers'
        )
    return x[:, :, first[x.shape[2]] :][:, :, :patches]


def find_last_tensor(output: Any) -> Tensor:
    """The output of a layer, or the last tensor of it, if it is a tuple or a list.

    Raises:
        ValueError: There is no tensor.
    """
    parts = output if isinstance(output, (tuple, list)) else [output]
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if not tensors:
        raise ValueError(f'a layer gives {type(output).__name__} without a tensor; choose others')
    return tensors[-1]


def keep_same_frames(features: Mapping[str, Sequence[Tensor]]) -> dict[str, list[Tensor]]:
    """Keep the frames that every layer sees: features (N, T', L, C) -> (N, fewest T', L, C).

    The layer with the fewest frames sees the first of each group of frames.

    Raises:
        ValueError: The numbers of frames are no multiples of one another.
    """
    counts = {x.shape[1] for layers in features.values() for x in layers}
    fewest = min(counts)
    if any(count % fewest for count in counts):
        raise ValueError(f'layers see {sorted(counts)} frames, which are no multiples of {fewest}')
    return {
        name: [x[:, :: x.shape[1] // fewest] for x in layers] for name, layers in features.items()
    }
