"""Shards of tar, written by several threads, each shard whole or not at all."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

from mmstan.datasets.readers import BrokenVideoError
from mmstan.datasets.readers.pyav import PyAVReader
from mmstan.datasets.shards import find_shards, open_index
from mmstan.datasets.shards.index import INDEX_NAME
from mmstan.prepare.files import STATE, claim_folder, write_whole
from mmstan.prepare.jobs import run_jobs
from mmstan.prepare.shards.encoding import ClipEncoding, EncodedClip, encode_clip
from mmstan.prepare.shards.sources import CaptionedVideo


@dataclass(frozen=True)
class Report:
    """Counts of a finished preparation.

    Attributes:
        videos: Videos of the source.
        samples: Clips in the shards.
        shards: Number of shards.
        known: Shards that an earlier call wrote.
        broken: Name of a video (and second) -> why it has no clip.
        bytes: Size of all clips.
    """

    videos: int
    samples: int
    shards: int
    known: int
    broken: dict[str, str]
    bytes: int


def prepare_shards(
    videos: Sequence[CaptionedVideo],
    out: Path,
    encoding: ClipEncoding,
    *,
    shard_size: int = 1000,
    workers: int = 2,
) -> Report:
    """Encode videos into ``out/00000.tar`` and so on, and index them.

    All clips of a video are in one shard, in the order of ``videos``; the same call writes the same
    bytes. Shards that are whole stay when the call is repeated; a stopped one leaves a ``.part``.

    Args:
        videos: The videos, with captions or windows.
        out: The folder of the shards.
        encoding: How clips are encoded.
        shard_size: Clips of a shard; a video with more windows fills a shard of its own.
        workers: Shards at a time, a thread each.

    Raises:
        ValueError: ``out`` holds shards of other videos or another encoding, or a number is wrong.
        OSError: A file cannot be written.
    """
    if not len(videos):
        raise ValueError('there are no videos to prepare: give a list that has some')
    counts, digest = _survey(videos)
    plan = plan_shards(counts, shard_size)
    with claim_folder(out):
        _claim_content(out, videos, digest, encoding, shard_size)
        waiting = [i for i in range(len(plan)) if not _is_done(out, i)]

        def work(number: int, stop: Event) -> None:
            part = [videos[index] for index in plan[number]]
            _write_shard(out, number, part, encoding, _count_digits(shard_size), stop)

        for _ in run_jobs(work, waiting, workers):
            pass
        return _finish(out, len(videos), len(plan), len(waiting))


def _survey(videos: Sequence[CaptionedVideo]) -> tuple[Sequence[int], int]:
    """Count the clips of each video, and take a checksum of all names, captions and windows."""
    counts, digest = array('L'), 0
    for video in videos:
        counts.append(max(len(video.windows), 1))
        digest = zlib.crc32(json.dumps(_name_content(video)).encode(), digest)
    return counts, digest


def plan_shards(counts: Iterable[int], size: int) -> list[range]:
    """Deal videos to shards in their order; no shard gets more clips than ``size`` from several.

    >>> plan_shards([1, 1, 1], 2)
    [range(0, 2), range(2, 3)]
    >>> plan_shards([2, 3, 9, 1], 5)
    [range(0, 2), range(2, 3), range(3, 4)]

    Args:
        counts: Clips of each video.
        size: Clips of a shard.
    """
    if size < 1:
        raise ValueError(f'--shard-size {size} must be 1 or more: give a larger one')
    shards: list[range] = []
    begin = filled = end = 0
    for end, count in enumerate(counts, start=1):
        if filled and filled + count > size:
            shards.append(range(begin, end - 1))
            begin, filled = end - 1, 0
        filled += count
    return [*shards, range(begin, end)]


def _count_digits(size: int) -> int:
    """Digits of a sample's number in its shard; three for the usual 1000, as video2dataset has."""
    return max(3, len(str(size - 1)))


def _claim_content(
    out: Path, videos: Sequence[CaptionedVideo], digest: int, encoding: ClipEncoding, size: int
) -> None:
    """Note what the folder is made from; refuse a folder that is made from something else."""
    first, last = videos[0], videos[len(videos) - 1]
    made_from = dict(
        videos=len(videos),
        first=_name_content(first),
        last=_name_content(last),
        **asdict(encoding),
        codec=encoding.codec,
        shard_size=size,
        crc32_of_videos=digest,
    )
    path = out / STATE / 'made_from.json'
    if path.exists():
        found = {'crc32_of_videos': digest, **json.loads(path.read_text('utf-8'))}  # old: without
        if found != made_from:
            key = next(key for key in made_from if found.get(key) != made_from[key])
            raise ValueError(
                f'{out} holds shards with {key}={found.get(key)!r}, not {made_from[key]!r}: name '
                'another folder, or remove this one'
            )
        return
    if any(out.glob('*.tar')):
        raise ValueError(f'{out} holds shards that were not made here: name another folder')
    write_whole(path, json.dumps(made_from, ensure_ascii=False, indent=1) + '\n')


def _name_content(video: CaptionedVideo) -> list[Any]:
    return [video.name, *video.captions, *map(list, video.windows)]


def _name_state(out: Path, number: int) -> Path:
    return out / STATE / f'{number:05}.json'


def _is_done(out: Path, number: int) -> bool:
    return (out / f'{number:05}.tar').exists() and _name_state(out, number).exists()


def _write_shard(
    out: Path,
    number: int,
    videos: Sequence[CaptionedVideo],
    encoding: ClipEncoding,
    digits: int,
    stop: Event,
) -> None:
    """Write one shard and its counts, the tar last: where it is, all is."""
    part, target = out / f'{number:05}.tar.part', out / f'{number:05}.tar'
    broken: dict[str, str] = {}
    samples = size = 0
    with tarfile.open(part, 'w', format=tarfile.USTAR_FORMAT) as tar:
        for position, video in enumerate(videos):
            for key, clip, about in _encode_video(video, encoding, broken, stop):
                name = f'{number:05}{position:0{digits}}{key}'
                _add(tar, f'{name}.mp4', clip.data)
                _add(tar, f'{name}.txt', about['caption'].encode())
                _add(tar, f'{name}.json', json.dumps(about, ensure_ascii=False).encode())
                samples, size = samples + 1, size + len(clip.data)
            if stop.is_set():
                return
    counts = dict(samples=samples, bytes=size, broken=broken)
    write_whole(_name_state(out, number), json.dumps(counts, ensure_ascii=False) + '\n')
    os.replace(part, target)


def _encode_video(
    video: CaptionedVideo, encoding: ClipEncoding, broken: dict[str, str], stop: Event
) -> Iterator[tuple[str, EncodedClip, dict[str, Any]]]:
    """End of the key, clip and metadata of each part of a video; failures go into ``broken``."""
    try:
        with PyAVReader(video.path) as reader:
            if not video.windows:
                clip = encode_clip(reader, encoding)
                # Shards(caption='json:caption=1,caption_1=1') draws one of them.
                more = {f'caption_{i}': text for i, text in enumerate(video.captions) if i}
                texts = dict(caption=video.captions[0], **more)
                yield '', clip, {**texts, **_describe(video, reader, clip)}
            for number, window in enumerate(video.windows):
                if stop.is_set():
                    return
                try:
                    clip = encode_clip(reader, encoding, window.start, window.end)
                except BrokenVideoError as error:
                    broken[f'{video.name} from {window.start:g} s'] = error.reason
                    continue
                about = dict(caption=window.text, start=window.start, end=window.end)
                yield f'_{number:04}', clip, {**about, **_describe(video, reader, clip)}
    except BrokenVideoError as error:
        broken[video.name] = error.reason


def _describe(video: CaptionedVideo, reader: PyAVReader, clip: EncodedClip) -> dict[str, Any]:
    """Metadata of a clip; sizes are (width, height)."""
    return dict(
        source=video.name,
        seconds=round(clip.frames / clip.fps, 3),
        fps=clip.fps,
        size=clip.size[::-1],
        source_fps=round(reader.avg_fps, 3),
        source_size=clip.size_before[::-1],
        source_bytes=reader.size,
    )


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Append a member; it has no date and no owner, so that equal shards have equal bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _finish(out: Path, videos: int, shards: int, written: int) -> Report:
    """Index the shards, add up their counts, and list the broken videos."""
    open_index(find_shards(str(out)), str(out / INDEX_NAME))
    counts = [json.loads(_name_state(out, i).read_text('utf-8')) for i in range(shards)]
    broken = {name: reason for count in counts for name, reason in count['broken'].items()}
    lines = [f'{name}: {reason}\n' for name, reason in broken.items()]
    if lines or (out / 'broken.txt').exists():
        write_whole(out / 'broken.txt', ''.join(lines))
    total = {key: sum(count[key] for count in counts) for key in ('samples', 'bytes')}
    return Report(videos, total['samples'], shards, shards - written, broken, total['bytes'])
