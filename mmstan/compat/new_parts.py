"""Starting a model from the checkpoint of another task."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from mmstan.compat.state_dicts import unwrap_name


def find_new_parts(model: nn.Module, theirs: Mapping[str, Any]) -> list[str]:
    """Find the parts that need not fit where a training starts from another task's checkpoint.

    The class of a model may name its parts that other tasks do not have, ``new_in_training``. They
    keep their random weights if the checkpoint has none of them; and parts of the checkpoint that
    the model does not have are left out. Parts that both have must fit.

    Args:
        model: The model.
        theirs: State dict of the checkpoint.

    Returns:
        Patterns of names; none if the checkpoint is of the model's own task.
    """
    new = getattr(model, 'new_in_training', ())
    names = [unwrap_name(name) for name in theirs]
    if not new or any(fnmatchcase(name, pattern) for name in names for pattern in new):
        return []
    foreign = {name.split('.')[0] for name in names} - {name for name, _ in model.named_children()}
    return [*new, *(pattern for part in sorted(foreign) for pattern in (part, f'{part}.*'))]
