"""The index of shards: when it is made, when it is renewed, and by whom."""

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from helpers.scripts import script
from helpers.shard_files import make_members, write_shard, write_shards
from mmengine.logging import MMLogger

from mmstan.datasets import Shards
from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.shards import find_shards, index, open_index
from mmstan.datasets.shards.files import ShardFiles


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], str]:
    """What has been logged."""
    MMLogger.get_instance('shards', log_file=tmp_path / 'log')
    return (tmp_path / 'log').read_text


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the shards whose headers are read."""
    names: list[str] = []
    scan = index.scan_shard
    monkeypatch.setattr(index, 'scan_shard', lambda s: names.append(Path(s.url).name) or scan(s))
    return names


def keys(dataset: Shards) -> list[str]:
    return [dataset.get_data_info(i)['video_id'] for i in range(len(dataset))]


def test_headers_are_read_once(tmp_path: Path, scanned: list[str]) -> None:
    folder = write_shards(tmp_path / 'a', [3, 2])
    first = keys(Shards(str(folder)))
    assert scanned == ['00000.tar', '00001.tar']
    assert keys(Shards(str(folder))) == first
    folder.rename(tmp_path / 'moved')
    assert keys(Shards(str(tmp_path / 'moved'))) == first
    assert scanned == ['00000.tar', '00001.tar']


def test_a_tar_of_another_size_is_indexed_again(
    tmp_path: Path, scanned: list[str], log: Callable[[], str]
) -> None:
    folder = write_shards(tmp_path / 'a', [3, 2])
    Shards(str(folder))
    scanned.clear()
    write_shard(folder / '00001.tar', make_members(range(1000, 1020)))
    write_shard(folder / '00002.tar', make_members([2000]))
    assert len(Shards(str(folder))) == 24
    assert scanned == ['00001.tar', '00002.tar']
    assert f'{folder}/index.npz: indexing 2 shards, ' in log()


def test_a_changed_tar_of_the_same_size_is_indexed_again(
    tmp_path: Path, scanned: list[str]
) -> None:
    folder = write_shards(tmp_path / 'a', [2, 2, 2])
    index_of = folder / 'index.npz'
    Shards(str(folder))
    scanned.clear()
    sizes = [path.stat().st_size for path in sorted(folder.glob('*.tar'))]
    future = index_of.stat().st_mtime + 100
    for number in (0, 2):
        members = make_members(range(1000 * number, 1000 * number + 2))
        members[1] = (members[1][0], b'a much longer caption')
        write_shard(folder / f'{number:05d}.tar', members)
        os.utime(folder / f'{number:05d}.tar', (future, future))
    assert [path.stat().st_size for path in sorted(folder.glob('*.tar'))] == sizes
    # The index that is written for the first shard does not hide that the third was changed.
    assert Shards(f'{folder}/00000.tar').get_data_info(0)['captions'] == ['a much longer caption']
    os.utime(index_of, (future + 100, future + 100))
    assert Shards(str(folder)).get_data_info(4)['captions'] == ['a much longer caption']
    assert scanned == ['00000.tar', '00002.tar']
    Shards(str(folder))
    assert len(scanned) == 2


def test_a_copy_that_is_younger_than_the_original_is_known(
    tmp_path: Path, scanned: list[str]
) -> None:
    folder = write_shards(tmp_path / 'a', [3])
    Shards(str(folder))
    past = (folder / 'index.npz').stat().st_mtime
    os.utime(folder / '00000.tar', (past + 5, past + 5))
    os.utime(folder / 'index.npz', (past + 6, past + 6))
    assert len(Shards(str(folder))) == 3
    assert scanned == ['00000.tar']


def test_a_part_of_the_shards_leaves_the_index_alone(tmp_path: Path, scanned: list[str]) -> None:
    folder = write_shards(tmp_path / 'a', [3, 2, 4])
    Shards(str(folder))
    before = (folder / 'index.npz').read_bytes()
    some = Shards([f'{folder}/00002.tar', f'{folder}/00000.tar'])
    assert keys(some) == [*('0000000' + x for x in '012'), *('0000200' + x for x in '0123')]
    assert some.shard_starts.tolist() == [0, 3, 7]
    assert (folder / 'index.npz').read_bytes() == before
    Shards(str(folder / '00001.tar'))
    assert len(scanned) == 3


def test_a_shard_that_is_gone_leaves_the_index(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / 'a', [3, 2])
    Shards(str(folder))
    (folder / '00000.tar').rename(folder / '00005.tar')
    assert len(Shards(str(folder))) == 5
    found = index.read_index(str(folder / 'index.npz'))
    assert found is not None
    assert found.names.tolist() == ['00001.tar', '00005.tar']


def test_a_damaged_index_is_made_again(tmp_path: Path, log: Callable[[], str]) -> None:
    folder = write_shards(tmp_path / 'a', [3])
    Shards(str(folder))
    file = folder / 'index.npz'
    file.write_bytes(file.read_bytes()[:-100])
    assert len(Shards(str(folder))) == 3
    assert f'{file} cannot be read (File is not a zip file); the shards are indexed again' in log()


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that cannot be written, also for root."""
    access = os.access
    monkeypatch.setattr(os, 'access', lambda p, mode: mode != os.W_OK and access(p, mode))


def test_copies_without_dates_in_a_folder_that_cannot_be_written(
    tmp_path: Path, request: pytest.FixtureRequest, log: Callable[[], str]
) -> None:
    folder = write_shards(tmp_path / 'a', [3, 2])
    Shards(str(folder))
    later = time.time() + 9
    os.utime(folder / '00001.tar', (later, later))
    request.getfixturevalue('read_only')
    assert len(Shards(str(folder))) == 5
    assert 'some shards are newer than their index, which cannot be written' in log()


@pytest.mark.usefixtures('read_only')
def test_a_folder_that_cannot_be_written_asks_for_a_place(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / 'a', [3, 2])
    with pytest.raises(
        ValueError, match=f"index='{folder}/index.npz' does not exist, and {folder} c"
    ):
        Shards(str(folder))


def test_an_index_of_other_shards_that_cannot_be_renewed_counts_both(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = write_shards(tmp_path / 'a', [3, 2])
    Shards(str(folder))
    for number, count in ((1, 20), (2, 1), (3, 1)):
        write_shard(folder / f'{number:05d}.tar', make_members(range(count)))
    request.getfixturevalue('read_only')
    with pytest.raises(
        ValueError, match=r'has 2 shards, which are 1 of the 4 wanted, and .* cannot'
    ):
        Shards(str(folder))


def test_the_index_may_lie_elsewhere(tmp_path: Path, scanned: list[str]) -> None:
    folder, place = write_shards(tmp_path / 'a', [3, 2]), str(tmp_path / 'b.npz')
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    for _ in range(2):
        assert len(Shards(str(folder), index=place)) == 5
    assert len(scanned) == 2
    assert not (folder / 'index.npz').exists()


def test_long_names_keep_their_keys(tmp_path: Path) -> None:
    """tar stores names of more than 100 characters in members of their own."""
    long = 'folder/' * 30 + 'ü' * 40
    write_shard(tmp_path / '0.tar', [(f'{long}.mp4', b'x'), (f'{long}.txt', b'y')])
    assert keys(Shards(str(tmp_path))) == [long]


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / 'a', [2, 0, 5, 1, 3, 4])
    shards = find_shards(str(folder))
    found = [open_index(shards, str(tmp_path / f'{n}.npz'), workers=n)[0] for n in (1, 2)]
    for one, two in zip(*(each.fields.values() for each in found)):
        assert np.array_equal(one, two)
    assert found[0].starts.tolist() == [0, 2, 2, 7, 8, 11, 15]


def test_arrays_are_mapped_and_not_read(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / 'a', [3])
    Shards(str(folder))
    found = index.read_index(str(folder / 'index.npz'))
    assert found is not None
    assert all(isinstance(each, np.memmap) for each in found.fields.values())


def test_the_command_prints_the_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_shards(tmp_path / 'a', [3, 2])
    main = script('index_shards').main
    monkeypatch.setattr('sys.argv', ['index_shards.py', str(folder), '--workers', '2'])
    main()
    assert f'{folder}/index.npz: 5 samples in 2 shards\n' in capsys.readouterr().out
    monkeypatch.setattr('sys.argv', ['index_shards.py', str(tmp_path / 'none/{0..3}.tar')])
    with pytest.raises(SystemExit, match=r'error: urls=.* matches no shard \(.* does not exist\)'):
        main()


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[str]:
    """The address of a folder with two shards, of 3 and 2 samples, in memory."""
    memory = fsspec.filesystem('memory')
    memory.put(str(write_shards(tmp_path / 'local', [3, 2])), '/remote', recursive=True)
    yield 'memory://remote'
    memory.rm('/remote', recursive=True)


def test_remote_shards_are_read_by_ranges(remote: str, tmp_path: Path) -> None:
    local = Shards(str(tmp_path / 'local'))
    dataset = Shards(remote, index=str(tmp_path / 'index.npz'))
    for each in (0, 4):
        info, expected = dataset.get_data_info(each), local.get_data_info(each)
        assert (info['video'], info['captions']) == (expected['video'], expected['captions'])
    assert dataset.get_data_info(4)['filename'].endswith('remote/00001.tar#00001001')
    with pytest.raises(ValueError, match='is remote: set index= to a local file'):
        Shards(remote)


def test_whole_shards_are_copied_and_the_oldest_removed(remote: str, tmp_path: Path) -> None:
    cache = tmp_path / 'cache'
    size = (tmp_path / 'local/00000.tar').stat().st_size
    arguments = dict(cache_dir=str(cache), cache_gb=1.5 * size / 1e9)
    dataset = Shards(remote, **arguments)
    assert keys(dataset) == keys(Shards(str(tmp_path / 'local')))
    assert [path.name[9:] for path in cache.glob('*.tar')] == ['00001.tar']
    (copy,) = cache.glob('*.tar')
    copy.write_bytes(b'cut')  # of another size than the shard: copied again
    assert len(keys(Shards(remote, **arguments))) == 5
    assert not [*cache.glob('*.part')]


def test_removed_copies_take_no_room(remote: str, tmp_path: Path) -> None:
    cache = tmp_path / 'cache'
    dataset = Shards(remote, cache_dir=str(cache), cache_gb=1e-9)
    assert len(keys(dataset)) == 5
    links = [os.readlink(link) for link in Path('/proc/self/fd').iterdir() if link.is_symlink()]
    assert not [link for link in links if link.startswith(str(cache)) and '.tar' in link]


@pytest.mark.parametrize(('times', 'works'), [(4, True), (5, False)])
def test_a_copy_that_another_worker_removes_is_made_again(
    times: int, works: bool, remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Shards(remote, cache_dir=str(tmp_path / 'cache'))
    copy, copied = ShardFiles._copy, []

    def copy_and_remove(self: ShardFiles, shard: Any) -> str:
        path = copy(self, shard)
        copied.append(path)
        if len(copied) <= times:
            Path(path).unlink()
        return path

    monkeypatch.setattr(ShardFiles, '_copy', copy_and_remove)
    if works:
        assert dataset.get_data_info(0)['video'] == b'video 00000000'
    else:
        with pytest.raises(BrokenVideoError, match='was removed 5 times before it was read: raise'):
            dataset.get_data_info(0)


def test_copies_that_vanish_while_the_cache_is_cleared_are_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [tmp_path / name for name in ('gone.tar', 'old.tar', 'new.tar')]
    for path in names[1:]:
        path.write_bytes(b'x' * 10)
    monkeypatch.setattr(Path, 'glob', lambda self, pattern: iter(names))
    ShardFiles(str(tmp_path), cache_gb=15e-9)._evict(tmp_path, keep=names[2])
    assert [path.exists() for path in names] == [False, False, True]


@pytest.mark.parametrize(('failures', 'works'), [(5, True), (6, False)])
def test_requests_are_repeated_five_times(
    failures: int, works: bool, remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Shards(remote, index=str(tmp_path / 'index.npz'))
    pauses: list[float] = []
    monkeypatch.setattr('mmstan.datasets.shards.files.time.sleep', pauses.append)
    fetch = MemoryFileSystem.cat_file
    left = [TimeoutError('slow\nvery')] * failures

    def fail(self: Any, *args: Any, **kwargs: Any) -> bytes:
        if left:
            raise left.pop()
        return fetch(self, *args, **kwargs)

    monkeypatch.setattr(MemoryFileSystem, 'cat_file', fail)
    if works:
        assert dataset.get_data_info(0)['video'] == b'video 00000000'
    else:
        reason = r'00000.tar#00000000: cannot be read \(TimeoutError: slow; tried 6 times\)'
        with pytest.raises(BrokenVideoError, match=reason):
            dataset.get_data_info(0)
    assert pauses == [0.5, 1, 2, 4, 8]


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (lambda path: path.unlink(), 'cannot be read .No such file'),
        (
            lambda path: path.write_bytes(path.read_bytes()[:515]),
            'has 3 of its .* bytes: its shard',
        ),
    ],
)
def test_a_shard_that_changes_under_the_run_is_broken(
    change: Callable[[Path], Any], reason: str, tmp_path: Path
) -> None:
    dataset = Shards(str(write_shards(tmp_path, [1])))
    change(tmp_path / '00000.tar')
    with pytest.raises(BrokenVideoError, match=f'00000.tar#00000000: {reason}'):
        dataset.get_data_info(0)


def test_samples_above_four_gigabytes_are_refused() -> None:
    from mmstan.datasets.shards.names import Shard
    from mmstan.datasets.shards.scan import _make_arrays, _Sample

    sample = _Sample('0', dict(video=(512, 2**32 - 512), txt=(2**32 + 512, 5)))
    with pytest.raises(ValueError, match=r'0.tar#0 has 4,294,967,301 bytes, and a sample'):
        _make_arrays(Shard('0.tar', 2**33, 0), [sample], '')
