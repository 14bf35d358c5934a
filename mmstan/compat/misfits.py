"""The tensors of a state dict that do not fit a model.

"Theirs" is the checkpoint, "own" the model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mmstan.wording import name_a_few

Problems = dict[str, dict[str, str]]
"""Kind of problem -> name of the tensor -> details."""


def find_problems(model: nn.Module, own: Mapping[str, Any], state: Mapping[str, Any]) -> Problems:
    """Find the misfits between ``state`` and ``own``, the state dict of ``model``."""
    # Old checkpoints lack the counters of batch norm; MMEngine does not require them either.
    missing = [k for k in own if k not in state and not k.endswith('num_batches_tracked')]
    problems: Problems = {
        'missing': dict.fromkeys(missing, ''),
        'left over': dict.fromkeys((k for k in state if k not in own), ''),
        'of another shape': {},
        'of another type': {},
        'with NaN or infinity': {},
    }
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for name in (name for name in own if name in state):
        found = compare(own[name], state[name], finite=name in parameters)
        if found is not None:
            problems[found[0]][name] = found[1]
    return {kind: names for kind, names in problems.items() if names}


def compare(own: Any, theirs: Any, *, finite: bool) -> tuple[str, str] | None:
    """Compare two tensors; returns the kind of problem and its details, or None."""
    if not isinstance(own, Tensor):
        return None  # the extra state of a module
    if not isinstance(theirs, Tensor):
        return 'of another type', f' (a {type(theirs).__name__})'
    if own.shape != theirs.shape:
        return 'of another shape', f' ({_describe_shape(theirs)} for {_describe_shape(own)})'
    if own.is_floating_point() != theirs.is_floating_point() or theirs.is_complex():
        return 'of another type', f' ({_describe_dtype(theirs)} for {_describe_dtype(own)})'
    if finite and not _is_finite(theirs):
        return 'with NaN or infinity', ''
    return None


def _is_finite(tensor: Tensor) -> bool:
    if tensor.is_meta:
        return True
    tensor = tensor.float() if tensor.dtype.itemsize == 1 else tensor  # isfinite lacks 8-bit floats
    return bool(torch.isfinite(tensor).all())


def _describe_shape(tensor: Tensor) -> str:
    return 'x'.join(map(str, tensor.shape)) or 'a number'


def _describe_dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix('torch.')


def leave_out(names: Collection[str], problems: Problems) -> Problems:
    """Leave some tensors out of the problems, and the kinds that have no others."""
    rest = {
        kind: {name: why for name, why in found.items() if name not in names}
        for kind, found in problems.items()
    }
    return {kind: found for kind, found in rest.items() if found}


def list_problems(problems: Problems) -> str:
    """List counts and first names, in one line."""
    return '; '.join(
        f'{len(names)} {kind}: {name_a_few(f"{name}{why}" for name, why in sorted(names.items()))}'
        for kind, names in problems.items()
    )
