"""A branch's checkpoint: its structure, and whether it fits a dialogue model's tower.

Letters: K layers of a branch, M blocks of the tower, C its width.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.logging import print_log
from torch import Tensor

from mmstan.compat.closed import read_file
from mmstan.compat.state_dicts import find_state_dict, unwrap_name
from mmstan.converters.whose_names import name_converter
from mmstan.wording import name_a_few

LAYER = re.compile(r'branches\.\d+\.layers\.(\d+)\.')
BLOCK = re.compile(r'tower\.visual\.transformer\.resblocks\.(\d+)\.')
TOWER = 'tower.visual.'


def read_branch(path: str | Path) -> dict[str, Tensor]:
    """The backbone's state dict of a checkpoint of STAN, Mug-STAN or BT-Adapter.

    Args:
        path: A checkpoint with our names: a run's, or a released one that
            ``tools/convert_checkpoint.py`` has converted.

    Raises:
        ValueError: The file is damaged, or has no weights of a branch.
    """
    content = find_state_dict(read_file(Path(path)), str(path))
    state = {unwrap_name(name): tensor for name, tensor in content.items()}
    inside = any(name.startswith('backbone.branches.') for name in state)
    prefix = 'backbone.' if inside else ''
    found = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not any(map(LAYER.match, found)):
        wanted = ['backbone.branches.0.class_token', 'backbone.branches.0.time_embedding']
        hint = name_converter(state, wanted, str(path)) or (
            'give a checkpoint of STAN, Mug-STAN or BT-Adapter'
        )
        raise ValueError(
            f"branch='{path}' has no weights of a branch (branches.0.layers.*) among its "
            f'{len(state)} tensors {name_a_few(sorted(state), most=3)}; {hint}'
        )
    return found


class BranchFacts(NamedTuple):
    """The structure of a branch, read from the names and shapes of its tensors."""

    layers: int
    networks: int
    max_frames: int
    width: int
    blocks: int
    """Blocks of the tower in the same file; 0 without one."""
    patches: int
    """Patches of that tower's position table; 0 without one."""


def read_facts(branch: Mapping[str, Tensor]) -> BranchFacts:
    """Read the structure of a branch from its state dict.

    Raises:
        ValueError: It has no time table.
    """
    table = branch.get('branches.0.time_embedding')
    if table is None or table.ndim != 2:
        raise ValueError(
            'the branch has no branches.0.time_embedding (frames, C): 1 tensors missing among '
            f'{name_a_few(sorted(branch), most=3)}'
        )
    positions = branch.get(TOWER + 'positional_embedding')
    return BranchFacts(
        layers=_count(LAYER, branch),
        networks=_count(re.compile(r'branches\.(\d+)\.'), branch),
        max_frames=table.shape[0],
        width=table.shape[1],
        blocks=_count(BLOCK, branch),
        patches=0 if positions is None else len(positions) - 1,
    )


def _count(pattern: re.Pattern[str], names: Mapping[str, Any]) -> int:
    """One more than the largest number that ``pattern`` finds in the names; 0 without one."""
    return max((int(match[1]) + 1 for match in map(pattern.match, names) if match), default=0)


def check_sizes(facts: BranchFacts, config: Any) -> None:
    """Compare a branch with the dialogue model's tower."""
    width, depth = config.hidden_size, config.num_hidden_layers
    if facts.width != width:
        raise ValueError(
            f"the branch is of width {facts.width}, the engine's tower of width {width}: take a "
            'branch that was trained next to a tower of that width (ViT-L/14 has 1024)'
        )
    if facts.blocks and facts.blocks != depth:
        raise ValueError(
            f"the branch's own tower has {facts.blocks} blocks, the engine's {depth}: take a "
            'branch that was trained next to such a tower'
        )
    patches = (config.image_size // config.patch_size) ** 2
    if facts.patches and facts.patches != patches:
        print_log(
            f'the branch was trained on {facts.patches} patches a frame, the engine has {patches} '
            f"({config.image_size} pixels): positions are the engine's, but the branch has not "
            'seen such frames',
            'current',
            logging.WARNING,
        )


def choose_levels(
    facts: BranchFacts, levels: Sequence[int] | None, depth: int, block: int
) -> tuple[int, ...]:
    """The levels of the layers that the cut tower, which ends at ``block``, has."""
    if facts.layers > depth:
        raise ValueError(f'the branch has {facts.layers} layers, the tower only {depth} blocks')
    every = range(depth - facts.layers + 1, depth + 1) if levels is None else levels
    if len(every) != facts.layers:
        raise ValueError(
            f'levels={tuple(every)}: {len(every)} levels, but the branch has {facts.layers} layers'
        )
    if levels is None:
        print_log(
            f"the branch is taken to read the tower's last blocks, {name_a_few(every)}, which its "
            'file does not tell; give the levels if it was trained with others',
            'current',
        )
    kept = tuple(level for level in every if level <= block)
    if not kept:
        raise ValueError(
            f'the branch reads the blocks {name_a_few(every)}, but the feature layer is the output '
            f'of block {block}: no layer of the branch is left; give the levels it was trained with'
        )
    return kept
