"""Our models beside the released code's, on its own weights and inputs.

A case is a folder with ``meta.json``, ``state.safetensors`` (the released code's state dict, under
its key names) and ``io.safetensors`` (inputs, and every output by name). They lie below the folder
that the environment variable ``MMSTAN_PARITY`` names, or below ``../shared/parity`` seen from the
project's root.

A case without weights of its own has no ``state.safetensors``. A system takes part with one file,
``systems/<meta['system']>.py``::

    NO_COUNTERPART = {'loss.cdcr_*': 'why'}  # outputs that are missing on purpose, if any
    INPUTS = ('clip', '*.boxes')  # patterns of more inputs in ``io``, if any
    TOLERANCE = 1e-9  # of the largest value and of 1, if it is not 1e-5
    OF_LARGEST = 1e-4  # in its place: of the largest value alone, where values are small

    def recorded(meta) -> dict[str, Tensor]:
        '''Outputs that stand in ``meta.json``, if any.'''


    def outputs(meta, state, io) -> dict[str, Tensor]:
        '''Our outputs by the names in ``io``; ``meta['folder']`` is the case's folder.'''
"""

import importlib
import json
import os
from collections.abc import Callable
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

PROJECT = Path(__file__).parents[2]
ROOT = Path(os.environ.get('MMSTAN_PARITY') or PROJECT / '../shared/parity').resolve()
CASES = sorted(path.parent for path in ROOT.rglob('meta.json'))
SYSTEMS = Path(__file__).parent / 'systems'
INPUTS = {'video', 'video.other_frames', 'video_mask', 'token_ids', 'text_mask'}
TOLERANCE = 1e-5


def read_meta(case: Path) -> dict[str, Any]:
    return dict(json.loads((case / 'meta.json').read_text()), folder=str(case))


def output_names(case: Path) -> list[str]:
    system = system_of(case)
    inputs = (*INPUTS, *getattr(system, 'INPUTS', ()))
    with safe_open(case / 'io.safetensors', 'pt') as file:
        every = set(file.keys())
    names = {x for x in every if not any(fnmatch(x, pattern) for pattern in inputs)}
    return sorted(names | find_recorded(case).keys())


def find_recorded(case: Path) -> dict[str, Tensor]:
    """Outputs of a case that stand in its ``meta.json``."""
    find: Callable[..., dict[str, Tensor]] = getattr(system_of(case), 'recorded', lambda meta: {})
    return find(read_meta(case))


def system_of(case: Path) -> ModuleType | None:
    name = read_meta(case)['system']
    if not (SYSTEMS / f'{name}.py').is_file():
        return None
    return importlib.import_module(f'parity.systems.{name}')


@lru_cache(maxsize=1)  # the outputs of a case are tested one after the other
def our_outputs(case: Path) -> dict[str, Tensor]:
    system = system_of(case)
    assert system is not None
    state, io = case / 'state.safetensors', load_file(case / 'io.safetensors')
    with torch.no_grad():
        return system.outputs(read_meta(case), load_file(state) if state.exists() else {}, io)


def assert_equal(
    ours: Tensor, golden: Tensor, tolerance: float = TOLERANCE, least: float = 1.0
) -> None:
    assert ours.shape == golden.shape
    if not golden.numel():
        return
    bound = tolerance * max(least, golden.abs().max().item())
    error = (ours - golden).abs().max().item()
    assert error <= bound, f'largest difference {error:.2e}, allowed {bound:.2e}'


def test_every_system_file_has_a_case() -> None:
    if not CASES:
        pytest.skip(f'no golden cases in {ROOT}; MMSTAN_PARITY names another folder')
    known = {read_meta(case)['system'] for case in CASES}
    assert {path.stem for path in SYSTEMS.glob('*.py')} <= known


@pytest.mark.parametrize(
    ('case', 'name'),
    [
        pytest.param(case, name, id=f'{case.relative_to(ROOT)}-{name}')
        for case in CASES
        for name in output_names(case)
    ],
)
def test_output(case: Path, name: str) -> None:
    system = system_of(case)
    if system is None:
        pytest.skip(f'mmstan has no {read_meta(case)["system"]} yet')
    absent: dict[str, str] = getattr(system, 'NO_COUNTERPART', {})
    ours = our_outputs(case)
    assert set(ours) <= set(output_names(case))  # another name is a misspelled one
    reasons = [reason for pattern, reason in absent.items() if fnmatch(name, pattern)]
    if reasons:
        assert name not in ours
        pytest.skip(f'no counterpart on purpose: {reasons[0]}')
    assert name in ours, f'{system.__name__} gives {sorted(ours)}'
    golden = {**load_file(case / 'io.safetensors'), **find_recorded(case)}[name]
    if of_largest := getattr(system, 'OF_LARGEST', None):
        assert_equal(ours[name], golden, of_largest, least=0)
    else:
        assert_equal(ours[name], golden, getattr(system, 'TOLERANCE', TOLERANCE))


@pytest.mark.parametrize(('error', 'largest'), [(0.9e-5, 0.5), (2.9e-5, 3.0)])
def test_the_rule_of_comparison(error: float, largest: float) -> None:
    golden = torch.tensor([0.0, largest], dtype=torch.float64)
    assert_equal(golden + torch.tensor([error, 0]), golden)
    with pytest.raises(AssertionError, match='largest difference'):
        assert_equal(golden + torch.tensor([1.2 * error, 0]), golden)
    with pytest.raises(AssertionError):
        assert_equal(golden[None], golden)
    with pytest.raises(AssertionError):
        assert_equal(golden + torch.tensor([torch.nan, 0]), golden)
