"""The first blocks of a text tower, copied into blocks over frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from mmstan.models.towers.architecture import find_architecture
from mmstan.models.towers.weights import find_weights, load_part, read_weights


def uses_quick_gelu(init_from: Mapping[str, Any] | None) -> bool:
    """Whether the text tower of ``init_from`` has QuickGELU; True, as in CLIP, without a tower."""
    return init_from is None or find_architecture(**init_from).quick_gelu


def init_from_text(
    module: nn.Module,
    init_from: Mapping[str, Any],
    *,
    tables: Sequence[str],
    blocks: Sequence[str],
) -> None:
    """Copy the first positions and blocks of a text tower; the rest of ``module`` stays.

    Args:
        module: Module whose parameters are written.
        init_from: ``dict(model=, pretrained=)`` of the text tower.
        tables: Parameters (rows, D) of ``module`` that take the first rows of the positions.
        blocks: Names of :class:`FrameBlocks` in ``module``; each takes the first blocks.

    Raises:
        ValueError: The text tower has fewer blocks or positions, or another width.
    """
    path = find_weights(find_architecture(**init_from).name, init_from['pretrained'])
    weights = read_weights(path)
    # Start from the module's own tensors: `load_part` wants a tensor for every name.
    copied = (*tables, *(f'{name}.' for name in blocks))
    own = {k: v for k, v in module.state_dict().items() if not k.startswith(copied)}
    if (positions := weights.get('text.positional_embedding')) is not None:
        own |= {name: positions[: len(module.get_parameter(name))] for name in tables}
    # text.transformer.resblocks.{i}.* -> {name}.{i}.*
    for name in blocks:
        for i in range(len(module.get_submodule(name))):  # type: ignore[arg-type]
            theirs = f'text.transformer.resblocks.{i}.'
            own |= {
                f'{name}.{i}.{key.removeprefix(theirs)}': tensor
                for key, tensor in weights.items()
                if key.startswith(theirs)
            }
    text = {f'text.{key}': tensor for key, tensor in own.items()}
    load_part(module, text, prefix='text.', source=str(path))
