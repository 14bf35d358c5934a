"""Pickles of annotations: what is plain is read, what is not builds nothing."""

import os
import pickle
import tracemalloc
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.hostile_pickles import HOSTILE, SCALAR

from mmstan.datasets.plain_pickles import read_pickle
from mmstan.text_files import TextFile


def read(folder: Path, data: bytes) -> Any:
    (folder / 'a.pkl').write_bytes(data)
    return read_pickle(TextFile('ann_file', f'{folder}/a.pkl'))


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers(protocol: int, tmp_path: Path) -> None:
    groups: dict[str, list[str]] = defaultdict(list, a=['x', 'é'])
    content = {
        'captions': [['a', 'man'], ('b', 2.5, None, True), b'c'],
        'numbers': [np.int64(-3), np.float32(0.5), np.uint8(200), np.bool_(True), 10**30],
        'groups': groups,
        'order': OrderedDict(b=1, a=2),
        7: {},
    }
    found = read(tmp_path, pickle.dumps(content, protocol))
    assert found == {**content, 'numbers': [-3, 0.5, 200, True, 10**30]}
    assert {type(number) for number in found['numbers']} == {int, float, bool}


def test_python_2(tmp_path: Path) -> None:
    assert read(tmp_path, b"(dS'x'\n(lS'Bront\xeb'\nas.") == {'x': ['Brontë']}
    assert read(tmp_path, SCALAR % b"'>i2'" + b"S'\\x01\\x02'\ntR.") == 258
    ordered = b"ccollections\nOrderedDict\n((l(lS'a'\naI1\naatR."
    assert read(tmp_path, ordered) == {'a': 1}


class Call:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize('name', HOSTILE)
def test_others_are_refused_in_little_memory(name: str, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r'^ann_file=.*a\.pkl.*plain dicts, lists') as error:
            read(tmp_path, HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('function', [os.mkdir, eval, getattr, np.load, pickle.loads])
def test_nothing_is_called(function: Callable[..., Any], tmp_path: Path) -> None:
    harm = tmp_path / 'harm'
    with pytest.raises(ValueError, match='it asks for '):
        read(tmp_path, pickle.dumps(Call(function, str(harm))))
    assert not harm.exists()
