"""Limits of plain pickles: honest ones are read, copies of copies are refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from mmstan.compat.closed import read_plain_pickle


def test_a_plain_pickle_of_many_small_arrays_is_read(tmp_path: Path) -> None:
    """Boxes of persons: AVA has 211,000 key frames, MMAction2's file one array for each."""
    content = {f'v,{frame}': np.full((1, 5), frame / 50_000) for frame in range(50_000)}
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(content, 2))
    read = read_plain_pickle(tmp_path / 'a.pkl')
    assert read.keys() == content.keys()
    assert read['v,49999'].tolist() == content['v,49999'].tolist()


def test_the_steps_of_a_plain_pickle_grow_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmstan.compat.closed.files.MOST_STEPS', 10)
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps([1000] * 50, 2))
    assert read_plain_pickle(tmp_path / 'a.pkl') == [1000] * 50
    (tmp_path / 'a.pkl').write_bytes(b'(' + b'N0' * 50 + b'l.')
    with pytest.raises(ValueError, match='it has more than 51 operations'):
        read_plain_pickle(tmp_path / 'a.pkl')


def test_a_plain_pickle_that_copies_itself_is_refused(tmp_path: Path) -> None:
    copies = b'h\x01(h\x00tR' * 20_000  # each is a dict of 64,000 bytes
    words = b'(' + b'(I1\nI2\nt' * 1000 + b'lq\x000ccollections\nOrderedDict\nq\x010'
    (tmp_path / 'a.pkl').write_bytes(words + b'(' + copies + b'l.')
    with pytest.raises(ValueError, match=r'its contents take more than [\d,]+ bytes'):
        read_plain_pickle(tmp_path / 'a.pkl')
