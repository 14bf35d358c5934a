"""Damaged videos for every reader that works here.

A file is right where each frame that was asked for is the one that a player shows, which PyAV's
plain decoding of everything says, without the project's readers. Pictures that are made of damaged
packets are not compared: each decoder patches them its own way. A file is refused where a
BrokenVideoError names it. Whole videos must be right. A worker process reads the files, so that a
decoder which dies, hangs or takes too much memory is seen.
"""

from __future__ import annotations

import multiprocessing
import random
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import av
import numpy as np
from campaign.figures import Figures
from helpers.videos import numbered_frames, write_video

SECONDS, MEGABYTES = 60, 3000  # that a file may take
_LIMIT = 2.0  # mean difference in levels of 255: two decoders' rounding
_HIDDEN = 2  # frames that a reader may replace by the one on display
_ASKED = 8
_GROUPS = {'g': '8', 'bf': '2'}
_OPEN_GROUPS = {**_GROUPS, 'x264-params': 'open-gop=1:scenecut=0'}
# Container, codec, options of the codec.
KINDS = [
    ('mp4', 'libx264', _GROUPS),
    ('mp4', 'libx264', _OPEN_GROUPS),
    ('mp4', 'mpeg4', _GROUPS),
    ('mov', 'mjpeg', {}),
    ('mov', 'libx264', _GROUPS),
    ('mkv', 'libx264', _GROUPS),
    ('mkv', 'mpeg2video', _GROUPS),
    ('webm', 'libvpx-vp9', {'g': '8', 'deadline': 'good', 'cpu-used': '5'}),
    ('webm', 'libvpx', {'g': '8', 'deadline': 'good', 'cpu-used': '5'}),
    ('avi', 'mpeg4', _GROUPS),
    ('avi', 'mjpeg', {}),
    ('ts', 'libx264', _OPEN_GROUPS),
    ('ts', 'mpeg2video', _GROUPS),
    ('mpg', 'mpeg2video', _GROUPS),
    ('flv', 'libx264', _GROUPS),
    ('flv', 'flv1', {'g': '8'}),
]
MUTATIONS = ('flip', 'head', 'zero', 'insert', 'remove', 'truncate', 'join', 'middle')


def run(count: int, seed: int, folder: Path) -> Iterator[Figures]:
    """Read ``count`` mutated videos with every reader; one :class:`Figures` a reader."""
    whole = [_render(folder, number) for number in range(len(KINDS))]
    worker = Worker()
    try:
        figures = {name: Figures(f'videos, {name}') for name in worker.readers}
        for path in whole:
            assert all(x.sound for x in Player(str(path)).shown), path  # that much is compared
            for name, trial in worker.try_file(path, path).items():
                if trial.outcome == 'refused':  # a whole file is read
                    trial = Trial('wrong', trial.what)
                figures[name].count(trial.outcome, f'{path.name}: {trial.what}')
        for number in range(count):
            rng = random.Random(f'{seed} {number}')
            source = whole[number % len(whole)]
            how = rng.choice(MUTATIONS)
            path = folder / f'{seed}_{number}_{how}_{source.name}'
            path.write_bytes(mutate(source.read_bytes(), how, rng))
            for name, trial in worker.try_file(path, source).items():
                figures[name].count(trial.outcome, f'{path.name}: {trial.what}')
            path.unlink()
    finally:
        worker.stop()
    yield from figures.values()


def _render(folder: Path, number: int) -> Path:
    container, codec, options = KINDS[number]
    path = folder / f'{number}_{codec}.{container}'
    pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
    movflags = 'faststart' if number % 2 and container in ('mp4', 'mov') else ''
    frames = numbered_frames(30)
    return write_video(
        path, frames, codec=codec, options=options, fps=25, pix_fmt=pix_fmt, movflags=movflags
    )


def mutate(data: bytes, how: str, rng: random.Random) -> bytes:
    """``data`` of a whole video -> of a damaged one."""
    out = bytearray(data)
    start = rng.randrange(len(data))
    length = rng.choice((1, 16, 188, 1000))
    if how in ('flip', 'head'):  # of all bytes, or of those where headers are
        for _ in range(rng.choice((1, 3, 20))):
            position = rng.randrange(len(data) if how == 'flip' else min(400, len(data)))
            out[position] ^= 1 << rng.randrange(8)
    elif how == 'zero':
        out[start : start + length] = bytes(len(out[start : start + length]))
    elif how == 'insert':
        out[start:start] = rng.randbytes(length)
    elif how == 'remove':
        del out[start : start + length]
    elif how == 'truncate':
        del out[start:]
    elif how == 'join':  # two pieces of the file, either of which may be cut anywhere
        out = out[start if rng.random() < 0.5 else 0 :] + out[: rng.randrange(len(data))]
    elif how == 'middle':  # the beginning is lost
        del out[: start // 2]
    return bytes(out)


@dataclass
class Trial:
    """How reading a file went: an outcome of :class:`Figures`, and what to say of it."""

    outcome: str
    what: str = ''


class Worker:
    """A process that reads files, started again where one has ended it."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context('spawn')
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self.readers: list[str] = self._connection.recv()

    def try_file(self, path: Path, whole: Path) -> dict[str, Trial]:
        """How every reader fares with a file that was made of a ``whole`` video."""
        return {name: self._try(path, whole, name) for name in self.readers}

    def _try(self, path: Path, whole: Path, name: str) -> Trial:
        self._connection.send((str(path), str(whole), name))
        try:
            if self._connection.poll(SECONDS):
                return self._connection.recv()
            what = f'no answer in {SECONDS} s'
        except (EOFError, ConnectionError):
            self._process.join()
            what = f'the process ended with status {self._process.exitcode}'
        self.stop()
        self._start()
        return Trial('crashed', what)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _serve(connection: Connection) -> None:
    """In the process: answer (path, reader) by a :class:`Trial`, as long as anyone asks."""
    import mmstan  # noqa: F401  (mends MMAction2 before the readers import it)
    from mmstan.datasets.readers import READERS, reader_problem

    av.logging.set_level(None)
    connection.send([name for name in READERS if reader_problem(name) is None])
    while True:
        path, whole, name = connection.recv()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        trial = _try_reader(path, whole, name)
        taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        connection.send(trial if taken < MEGABYTES else Trial('crashed', f'took {taken:.0f} MB'))


def _try_reader(path: str, whole: str, name: str) -> Trial:
    from mmstan.datasets.readers import BrokenVideoError, open_video

    try:
        with open_video(path, name) as video:
            count = video.num_frames
            indices = sorted({round(i * (count - 1) / (_ASKED - 1)) for i in range(_ASKED)})
            frames = video.read(indices)
    except BrokenVideoError as error:
        named = error.filename == path and str(error).startswith(path) and error.reason
        return Trial('refused' if named else 'unclear', str(error))
    except Exception as error:  # anything else has no business here
        return Trial('unclear', f'{type(error).__name__}: {error}')
    player = Player(path, _find_whole(whole))
    versions = player.frames_of(count)
    if not versions:
        return Trial('wrong', f'{count} frames, a player shows {len(player.shown)}')
    wrong = [
        _first_wrong(dict(zip(indices, frames, strict=True)), expected) for expected in versions
    ]
    if None in wrong:
        return Trial('right')
    return Trial('wrong', f'frame {wrong[0]} of {count} is another one')


def _first_wrong(frames: dict[int, np.ndarray], expected: list[Shown | None]) -> int | None:
    for index, frame in frames.items():
        right = expected[index]
        if right is not None and right.sound and _difference(frame, right) > _LIMIT:
            return index
    return None


@dataclass
class Shown:
    """A picture that a player shows."""

    pts: int | None
    image: np.ndarray
    turned: bool
    """Whether it has a display matrix."""
    sound: bool = False
    """Whether all it is made of is as in the whole video; else it was patched, in whatever way."""


class Player:
    """What PyAV shows of a file that it decodes from the start to the end.

    Args:
        path: The file.
        whole: The video that it was made of, None for a whole one.
    """

    def __init__(self, path: str, whole: Player | None = None) -> None:
        self.shown: list[Shown] = []
        with av.open(path, metadata_errors='replace') as container:
            stream = container.streams.best('video')
            stream.codec_context.thread_count = 1
            packets = list(_demux(container, stream))
            for packet in [*packets, None]:
                try:
                    frames = stream.decode(packet)
                except (av.FFmpegError, EOFError):
                    continue
                for frame in frames:
                    image = frame.to_ndarray(format='rgb24')
                    self.shown.append(Shown(frame.pts, image, 'DISPLAYMATRIX' in frame.side_data))
        self._times = [x.pts for x in packets if not x.is_discard]
        self._by_time: dict[int | None, Shown] = {x.pts: x for x in self.shown}
        self._pts = [x.pts for x in packets]
        self._packets = [bytes(x) for x in packets]
        self._keys = [i for i, x in enumerate(packets) if x.is_keyframe]
        numbers = self._find_in(whole or self)
        for position in range(len(packets)):
            self._compare(position, numbers, whole or self)

    def _find_in(self, whole: Player) -> list[int | None]:
        """The number of each packet in the whole video, None for those that are not in it."""
        places: dict[bytes, list[int]] = {}
        for number, packet in enumerate(whole._packets):
            places.setdefault(packet, []).append(number)
        found: list[int | None] = []
        for packet in self._packets:
            candidates = places.get(packet, [])  # pictures that are alike may be the same bytes
            following = -1 if not found or found[-1] is None else found[-1] + 1
            first = candidates[0] if candidates else None
            found.append(following if following in candidates else first)
        return found

    def _compare(self, position: int, numbers: list[int | None], whole: Player) -> None:
        """Find out whether the picture of a packet is sound.

        Args:
            position: Of the packet in this file.
            numbers: Of all packets in the whole video.
            whole: The whole video.
        """
        number = numbers[position]
        ours = self._by_time.get(self._pts[position])
        theirs = None if number is None else whole._by_time.get(whole._pts[number])
        if ours is None or theirs is None:
            return
        keys = [key for key in whole._keys if key <= number]
        # A leading picture refers to the group before its key frame.
        leading = whole._pts[number] < whole._pts[keys[-1]] and len(keys) > 1
        needed = range(keys[-2 if leading else -1], number + 1)
        first = position + 1 - len(needed)
        intact = first >= 0 and numbers[first : position + 1] == list(needed)
        ours.sound = intact and np.array_equal(ours.image, theirs.image)

    def frames_of(self, count: int) -> list[list[Shown | None]]:
        """The picture of each of ``count`` frames, in their order and by their time.

        Both are the same in a file that is not damaged. Not by the order where another number of
        frames is shown, not by time where another number of frames has one.
        """
        versions: list[list[Shown | None]] = []
        if count == len(self.shown):
            versions.append(list(self.shown))
        if count == len(self._times) and None not in self._times:
            frames: list[Shown | None] = []
            for index, time in enumerate(sorted(self._times)):
                held = [x for x in frames[max(0, index - _HIDDEN) :] if x is not None]
                frames.append(self._by_time.get(time) or (held[-1] if held else None))
            versions.append(frames)
        return versions


def _demux(container: Any, stream: Any) -> Iterator[av.Packet]:
    try:
        yield from (packet for packet in container.demux(stream) if packet.size)
    except (av.FFmpegError, IndexError):  # the second one where damage looks like another stream
        return


_find_whole = lru_cache(Player)


def _difference(frame: np.ndarray, right: Shown) -> float:
    turned = [right.image]
    if right.turned:  # by a damaged display matrix: upright is any of the eight ways
        turned = [np.rot90(x, n) for x in (right.image, right.image[:, ::-1]) for n in range(4)]
    return min(_distance(frame, image) for image in turned)


def _distance(frame: np.ndarray, other: np.ndarray) -> float:
    if frame.shape != other.shape:  # the video changes its size
        height, width = frame.shape[:2]
        image = av.VideoFrame.from_ndarray(np.ascontiguousarray(other), 'rgb24')
        other = image.reformat(width, height, interpolation='BILINEAR').to_ndarray()
        return 0.0 if np.abs(frame.astype(int) - other).mean() < 10 else 255.0
    return float(np.abs(frame.astype(int) - other).mean())
