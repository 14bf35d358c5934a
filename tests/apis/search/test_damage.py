"""Damaged and hostile folders: one line that names the file and the reason, and nothing runs."""

import json
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apis.search.conftest import FakeModel

from mmstan.apis.search import SearchIndex
from mmstan.apis.search.manifest import hash_file
from mmstan.apis.search.store import Store

Change = Callable[[Path], None]


@pytest.fixture
def folder(model: FakeModel, videos: Callable[..., Path], tmp_path: Path) -> Path:
    """The index of 30 videos."""
    SearchIndex.build(model, videos(30), tmp_path / 'index')
    return tmp_path / 'index'


def manifest(**changes: Any) -> Change:
    """Changes of the manifest's values; a callable gets the value before."""

    def change(folder: Path) -> None:
        data = json.loads((folder / 'manifest.json').read_text())
        for key, value in changes.items():
            data[key] = value(data[key]) if callable(value) else value
        (folder / 'manifest.json').write_text(json.dumps(data))

    return change


def text(content: str | bytes) -> Change:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / 'manifest.json').write_bytes(data) and None


def without(key: str) -> Change:
    def change(folder: Path) -> None:
        data = json.loads((folder / 'manifest.json').read_text())
        del data[key]
        (folder / 'manifest.json').write_text(json.dumps(data))

    return change


def edit(name: str, change_bytes: Callable[[bytes], bytes], *, vouch: bool = False) -> Change:
    """Change a file; with ``vouch`` the manifest says that this is right."""

    def change(folder: Path) -> None:
        path = folder / name
        path.write_bytes(change_bytes(path.read_bytes()))
        part = name.partition('-')[0]
        if vouch:
            size = path.stat().st_size
            manifest(checks=lambda x: {**x, part: [size, hash_file(path, size)]})(folder)

    return change


def line(number: int, content: Any) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        lines = data.splitlines()
        lines[number] = content if isinstance(content, bytes) else json.dumps(content).encode()
        return b'\n'.join(lines) + b'\n'

    return change


class Runs:
    """A pickle that would write a file."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path('ran'),)


PICKLE = pickle.dumps(Runs())
NAMES, INDEX, FRAMES = 'names-0.jsonl', 'index-1.faiss', 'frames-0.f16'


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (text(PICKLE), 'manifest.json.*is not UTF-8|manifest.json.*no text'),
        (text('{'), 'manifest.json, line 1: it is not JSON'),
        (text('[' * 100_000), 'manifest.json: it is not JSON .*nested too deeply'),
        (text('[]'), 'manifest.json: it must hold an object'),
        (text('{"format": 1}' + ' ' * (1 << 20)), 'manifest.json: it has 1048589 bytes'),
        (manifest(format=2), 'manifest.json: its format is 2, and this version reads 1'),
        (without('dim'), r"manifest.json: the keys \['dim'\] are missing or unknown"),
        (manifest(code='x'), r"manifest.json: the keys \['code'\] are missing or unknown"),
        (manifest(rows='30'), "manifest.json: rows='30' must be a whole number"),
        (manifest(rows=True), 'manifest.json: rows=True must be a whole number'),
        (manifest(rows=-1), 'manifest.json: rows=-1 must be a whole number from 0'),
        (manifest(indexed=31), 'manifest.json: indexed=31 must be a whole number from 0 to 30'),
        (manifest(dim=1 << 40), 'manifest.json: dim=1099511627776 must be a whole number'),
        (manifest(store='object'), "manifest.json: store='object' must be one of float16"),
        (manifest(kind='python'), "manifest.json: kind='python' must be one of brute"),
        (manifest(dtype=16), 'manifest.json: dtype=16 must be a str'),
        (manifest(pooled=0), 'manifest.json: pooled=0 must be a bool'),
        (manifest(segments=['a', 1]), 'manifest.json: segments=.* must be two numbers'),
        (manifest(sources=[1]), 'manifest.json: sources must be a list of paths'),
        (manifest(recall=dict(in_top='x')), 'manifest.json: recall=.* must hold percentages'),
        (
            manifest(generation=dict(names='/etc/passwd', frames=0, index=1)),
            'manifest.json: generation=.* must number the files',
        ),
        (manifest(checks={}), 'manifest.json: checks={} must be bytes and SHA-256 of index, names'),
        (manifest(checks=lambda x: {**x, 'names': 'x'}), 'manifest.json: checks=.* must be bytes'),
        (manifest(rows=31, indexed=30), f'{NAMES}: has 30 lines, and the index 31 videos'),
        (manifest(dim=17), f'{FRAMES}: has 3840 bytes, and 30 videos of 4 x 17 float16 are 4080'),
        (manifest(frames=1 << 16), f'{FRAMES}: has 3840 bytes, and 30 videos of 65536 x 16'),
        (edit(NAMES, lambda data: data[:-9]), f'{NAMES}: has .* bytes of .*; copy the folder'),
        (edit(NAMES, lambda data: b'{' + data[1:]), f'{NAMES}: is damaged .*SHA-256'),
        (edit(NAMES, lambda data: PICKLE, vouch=True), f'{NAMES}: has . lines'),
        (edit(NAMES, line(4, b'{'), vouch=True), f'{NAMES}, line 5: it is not JSON'),
        (edit(NAMES, line(4, b'[' * 9999), vouch=True), f'{NAMES}, line 5: it is not JSON'),
        (edit(NAMES, line(4, b'null,null'), vouch=True), f'{NAMES}, line 5: it is not JSON'),
        (edit(NAMES, line(4, 'x.mp4'), vouch=True), f'{NAMES}, line 5: .* must be .path, size'),
        (
            edit(NAMES, line(4, ['x.mp4', 1, 1, None, None, [4]]), vouch=True),
            f'{NAMES}, line 5: .* must be .path, size',
        ),
        (
            edit(NAMES, line(4, ['x.mp4', 1, 1, 2.0, None, []]), vouch=True),
            f'{NAMES}, line 5: .* must be .path, size',
        ),
        (edit(FRAMES, lambda data: data[:-1]), f'{FRAMES}: has 3839 bytes'),
        (lambda folder: (folder / FRAMES).unlink(), f'{FRAMES}: has 0 bytes'),
        (lambda folder: (folder / INDEX).unlink(), f'{INDEX}: has 0 bytes of'),
        (edit(INDEX, lambda data: data[:-1]), f'{INDEX}: has .* bytes of'),
        (edit(INDEX, lambda data: PICKLE + data), f'{INDEX}: is damaged .*SHA-256'),
        (edit(INDEX, lambda data: PICKLE, vouch=True), f'{INDEX}: faiss cannot read it'),
        (
            edit(INDEX, lambda data: data[:8] + b'\xff' * 9 + data[17:], vouch=True),
            f'{INDEX}: faiss cannot read it|{INDEX}: it is a',
        ),
        (manifest(kind='pq4'), f'{INDEX}: it is a IndexScalarQuantizer .*, expected a IndexPQFast'),
        (manifest(kind='ivfpq'), f'{INDEX}: it is a IndexIDMap of width 16, expected a IndexIVFPQ'),
    ],
)
def test_damage_is_one_line(
    change: Change,
    says: str,
    folder: Path,
    model: FakeModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    change(folder)
    tracemalloc.start()
    with pytest.raises(ValueError, match=rf'^{folder}/({says})') as caught:
        SearchIndex.open(folder, model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 600
    assert peak < 50_000_000
    assert not Path('ran').exists()


def test_bytes_behind_the_counted_ones_do_not_count(folder: Path, model: FakeModel) -> None:
    before = SearchIndex.open(folder, model).search('a dog')
    for name in (NAMES, FRAMES, INDEX):
        with open(folder / name, 'ab') as file:
            file.write(b'[1,')
    assert SearchIndex.open(folder, model).search('a dog') == before


def test_a_file_that_is_replaced_meanwhile_is_no_damage(
    folder: Path, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, read, tried = SearchIndex.open(folder, model), Store.read, []

    def read_slowly(path: Path) -> Store:
        tried.append(path)
        if len(tried) == 1:
            other = read(path)
            index.remove(index.names[0])  # another process is faster
            other.read_index()
        return read(path)

    monkeypatch.setattr(Store, 'read', read_slowly)
    assert len(SearchIndex.open(folder, model)) == 29 and len(tried) == 2


def test_ids_of_other_videos_are_not_found(folder: Path, model: FakeModel) -> None:
    """An index whose ids lie outside of the rows gives fewer hits, and no error."""
    import faiss

    index = faiss.read_index(str(folder / INDEX))
    ids = faiss.vector_to_array(index.id_map)
    ids[:60] = 1 << 60
    faiss.copy_array_to_vector(ids, index.id_map)
    faiss.write_index(index, str(folder / INDEX))
    edit(INDEX, lambda data: data, vouch=True)(folder)
    hits = SearchIndex.open(folder, model).search('a dog', top=30)
    assert len(hits) == 15
