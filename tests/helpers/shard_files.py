"""Small shards for tests: tar files of members given by name."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

Members = Iterable[tuple[str, bytes]]


def write_shard(path: Path, members: Members) -> Path:
    """Write a tar; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w') as tar:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return path


def make_members(keys: Iterable[int], video: bytes = b'') -> list[tuple[str, bytes]]:
    """Members of whole samples, as video2dataset names them; without ``video``, its key's text."""
    members = []
    for key in keys:
        name = f'{key:08d}'
        members += [
            (f'{name}.mp4', video or b'video ' + name.encode()),
            (f'{name}.txt', f'caption {key}'.encode()),
            (f'{name}.json', json.dumps(dict(caption=f'json {key}', key=name)).encode()),
        ]
    return members


def write_shards(folder: Path, counts: Iterable[int], video: bytes = b'') -> Path:
    """Write a shard of each of ``counts`` samples, 1000 keys apart; returns the folder."""
    for number, count in enumerate(counts):
        keys = range(1000 * number, 1000 * number + count)
        write_shard(folder / f'{number:05d}.tar', make_members(keys, video))
    return folder
