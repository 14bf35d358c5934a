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

from mmstan.datasets.plain_pickles import read_pickle
from mmstan.text_files import TextFile

SCALAR = b'cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S%b\nI0\nI1\ntR'
WORD = b'X\xe8\x03\x00\x00' + b'w' * 1000


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


HOSTILE = {
    'an index of the memo': b'Nr\xff\xff\xff\x7f(.',
    'a number of 2 GB': SCALAR % b"'V2000000000'" + b'tR.',
    'a state of 2 GB': SCALAR % b"'i8'" + b'(I3\nS"|"\nNNNI2000000000\nI1\nI0\ntbtR.',
    'a byte array of 8 GB': b'\x80\x05\x96\x00\x00\x00\x00\x02\x00\x00\x00.',
    'a text of 2 GB': b'\x80\x04X\xff\xff\xff\x7f.',
    'nested tuples as a key': b')' + b'\x85' * 300_000 + b'q\x00}h\x00Ns.',
    'lists of lists of words': b']q\x00(' + WORD + b'q\x01' + b'h\x01' * 4000 + b'e'
    b'](' + b'h\x00' * 4000 + b'e.',
    'a list in itself': b']q\x00h\x00a.',
    'copies': b'(' + b'I1\n' * 4000 + b'lq\x000' + b'ccollections\nOrderedDict\nq\x010'
    b'(' + b'h\x01(h\x00tR' * 4000 + b'l.',
    'an attribute of a function': b'cnumpy.core.multiarray\nscalar\nN}S"__defaults__"\nNs\x86b.',
    'a set': b'\x80\x04\x8f.',
    'an object': b'\x80\x02ccollections\nOrderedDict\n)\x81.',
    'nothing': b'',
    'no pickle': b'{"a": ["b"]}',
    'two lines\nin a name': b'cos\nsys\rtem\n.',
}


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
