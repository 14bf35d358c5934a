"""What the layers of a backbone give for a clip, token by token.

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
    """Groups of layers, each from its first to its last: the tower's blocks, and what is beside it.

    Args:
        backbone: Any; it names its own groups (:meth:`VideoBackbone.layer_groups`).
        extra: More groups: name -> regular expression of its layers' names in the backbone.

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
    """What each layer gives for a clip (N, 3, T, H, W), and ``'output'``, the backbone's tokens.

    Patches (N, T', L, C) without class tokens. T' is the number of frames that the layer sees.
    Groups whose layers do not run as modules are left out.

    Raises:
        ValueError: A layer gives no tokens of the clip's patches.
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
        output = backbone.tokens(clip)
    finally:
        for handle in handles:
            handle.remove()
    found = {name: layers for name, layers in found.items() if layers}
    return {**found, 'output': [as_patches(output, len(clip), rows * columns)]}


def as_patches(output: Any, clips: int, patches: int) -> Tensor:
    """A layer's output -> (N, T, L, C).

    Args:
        output: (N, C, T, rows, columns); or (N, T, S, C) or (N*T, S, C), S being L or 1 + L with
            the class token first; or a tuple whose last tensor is one of these.
        clips: N.
        patches: L.

    Raises:
        ValueError: It is none of these.
    """
    x = [part for part in output if isinstance(part, Tensor)][-1] if _many(output) else output
    if x.ndim == 5:
        x = x.flatten(3).permute(0, 2, 3, 1)
    elif x.ndim == 3 and len(x) % clips == 0:
        x = x.unflatten(0, (clips, -1))
    if x.ndim != 4 or len(x) != clips or x.shape[2] not in (patches, 1 + patches):
        raise ValueError(
            f'a layer gives {tuple(x.shape)}, which are no tokens of {clips} clips with {patches} '
            'patches a frame; choose other layers'
        )
    return x[:, :, -patches:]


def _many(output: Any) -> bool:
    return isinstance(output, (tuple, list))


def keep_same_frames(features: Mapping[str, Sequence[Tensor]]) -> dict[str, list[Tensor]]:
    """Features (N, T', L, C), of the frames alone that every layer sees: the first of each group.

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
