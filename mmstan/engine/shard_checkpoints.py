"""State dicts of a sharded model: gathered into whole ones, spread again, or each part in a folder.

Every process has to call each of these functions.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from mmengine.dist import barrier, is_main_process
from torch import nn
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from mmstan.compat.checkpoints import load_file
from mmstan.engine.prepare_resume import LAST, REST, is_folder

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)

State = dict[str, Any]


def gather_model(model: nn.Module) -> State:
    """The whole state dict on rank 0, empty on the others."""
    return get_model_state_dict(model, options=_WHOLE)


def gather_optimizer(model: nn.Module, optimizer: Optimizer) -> State:
    """The optimiser's whole state by parameter names on rank 0, empty on the others."""
    return get_optimizer_state_dict(model, optimizer, options=_WHOLE)


def spread_model(model: nn.Module, state: State) -> None:
    """Load a whole state dict, which every process has read; parts are joined before."""
    whole = {name: x.full_tensor() if isinstance(x, DTensor) else x for name, x in state.items()}
    set_model_state_dict(model, whole, options=StateDictOptions(full_state_dict=True))


def spread_optimizer(model: nn.Module, optimizer: Optimizer, state: State) -> None:
    """Load an optimiser's whole state, which every process has read."""
    options = StateDictOptions(full_state_dict=True)
    set_optimizer_state_dict(model, optimizer, state, options=options)


def write_folder(
    folder: str | Path, model: nn.Module, optimizer: Optimizer | None, rest: State
) -> None:
    """Write a checkpoint as a folder, each process its part.

    Args:
        folder: The folder, made if it is missing.
        model: The sharded model.
        optimizer: Its optimiser, or None to leave that out.
        rest: The other contents, written by rank 0.
    """
    if is_main_process():
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, LAST).unlink(missing_ok=True)
        torch.save(rest, Path(folder, REST))
    barrier()
    parts: State = dict(state_dict=get_model_state_dict(model))
    if optimizer is not None:
        parts['optimizer'] = get_optimizer_state_dict(model, optimizer)
    dcp.save(parts, checkpoint_id=folder)


def read_rest(folder: str | Path) -> State:
    """Read a folder's contents without its tensors."""
    return load_file(Path(folder, REST))


def read_parts(folder: str | Path, model: nn.Module, optimizer: Optimizer | None = None) -> None:
    """Load each process's part of a folder into the model, or into the optimiser if given one."""
    if optimizer is None:
        weights = dict(state_dict=get_model_state_dict(model))
        dcp.load(weights, checkpoint_id=folder)
        set_model_state_dict(model, weights['state_dict'])
    else:
        state = dict(optimizer=get_optimizer_state_dict(model, optimizer))
        dcp.load(state, checkpoint_id=folder)
        set_optimizer_state_dict(model, optimizer, state['optimizer'])


def join_folder(folder: str | Path) -> State:
    """Make the whole checkpoint of a folder; one process does, which needs no group.

    Raises:
        ValueError: The folder is none of sharded training, or was not written to its end.
    """
    if not is_folder(folder):
        raise ValueError(
            f'{folder} is no checkpoint of mmstan.FullyShard(sharded=True) that was written to its '
            f'end: it needs {LAST} and {REST}'
        )
    rest = read_rest(folder)
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary, 'whole.pth')
        dcp_to_torch_save(folder, whole)
        tensors = torch.load(whole, weights_only=True)
    scalars = rest.pop('scalars')
    state = {k: narrow_scalar(k, x, scalars) for k, x in tensors['state_dict'].items()}
    found = dict(rest, state_dict=state)
    if 'optimizer' in tensors:
        found['optimizer'] = {**tensors['optimizer'], **found.pop('optimizer_settings', {})}
    return found


def narrow_scalar(name: str, x: Any, scalars: Any) -> Any:
    """Give a parameter in ``scalars`` its shape () back, and others as they are."""
    return x.reshape(()) if name in scalars else x
