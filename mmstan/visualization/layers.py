"""Collect the output tokens of a backbone's layers for a clip.

Letters: N clips, T frames, L patches, C channels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmstan.models.backbones import VideoBackbone


def group_layers(
    backbone: VideoBackbone, extra: Mapping[str, str] | None = None
) -> dict[str, list[nn.Module]]:
    """Name -> layers, in order: the tower's blocks, the method's own layers, and ``extra`` groups.

    Args:
        backbone: It names its own groups (:meth:`VideoBackbone.layer_groups`).
        extra: Name of one more group -> regular expression of its layers' names in the backbone.

    Raises:
        ValueError: An expression matches no layer.
    """
    groups = backbone.layer_groups()
    for name, pattern in (extra or {}).items():
        groups[name] = [m for key, m in backbone.named_modules() if re.fullmatch(pattern, key)]
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
    backbone's own groups those are left out whose layers are not called as modules.

    Raises:
        ValueError: A layer gives no tokens of the clip's patches, or none of an extra group is run.
    """
    rows, columns = backbone.tower.grid(clip)
    found: dict[str, list[Tensor]] = {name: [] for name in groups}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            found[name].append(as_patches(output, len(clip), rows * columns))

        return hook

    handles = [
        layer.register_forward_hook(keep(name))
        for name, layers in groups.items()
        for layer in layers
    ]
    try:
        output = backbone.run_every_token(clip)
    finally:
        for handle in handles:
            handle.remove()
    if idle := [
        x for x, layers in found.items() if not layers and x not in backbone.layer_groups()
    ]:
        raise ValueError(
            f'--layers {idle[0]}: no such module of {type(backbone).__name__} is called where its '
            'tokens are computed; choose others'
        )
    found = {name: layers for name, layers in found.items() if layers}
    return {**found, 'output': [as_patches(output, len(clip), rows * columns)]}


def as_patches(output: Any, clips: int, patches: int) -> Tensor:
    """Reshape a layer's output to patches (N, T, L, C).

    Args:
        output: (N, C, T, rows, columns); or (N, T, S, C) or (N*T, S, C) with S = L, or S = 1 + L
            with the class token first; or a tuple whose last tensor has one of these shapes.
        clips: N.
        patches: L.

    Raises:
        ValueError: The output has none of these shapes.
    """
    x = [part for part in output if isinstance(part, Tensor)][-1] if _many(output) else output
    if x.ndim == 5:
        x = x.flatten(3).permute(0, 2, 3, 1)  # (N, C, T, L) -> (N, T, L, C)
    elif x.ndim == 3 and len(x) % clips == 0:
        x = x.unflatten(0, (clips, -1))  # (N, T, S, C)
    if x.ndim != 4 or len(x) != clips or x.shape[2] not in (patches, 1 + patches):
        raise ValueError(
            f'a layer gives {tuple(x.shape)}, which are no tokens of {clips} clips with {patches} '
            'patches a frame; choose other layers'
        )
    return x[:, :, -patches:]  # without the class token, which is first


def _many(output: Any) -> bool:
    return isinstance(output, (tuple, list))


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
