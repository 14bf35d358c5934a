import itertools
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.videos import frame_number, numbered_frames, set_display_matrix, write_video

from mmstan.datasets.readers import (
    READERS,
    BrokenVideoError,
    choose_backend,
    open_video,
    reader_problem,
)
from mmstan.datasets.readers import pyav as readers_pyav

WORKING = [name for name in READERS if reader_problem(name) is None]
FRAMES = numbered_frames(30)
GROUPS = {'g': '10', 'bf': '3', 'x264-params': 'scenecut=0:b-adapt=0'}
OPEN_GROUPS = {**GROUPS, 'x264-params': 'scenecut=0:b-adapt=0:open-gop=1'}
UNEVEN = list(itertools.accumulate([20, 400, 35, 90, 15] * 6))  # milliseconds


def matrix(a: int, b: int, c: int, d: int) -> Callable[[Path], Path]:
    return lambda path: set_display_matrix(write_video(path, FRAMES), a, b, c, d)


# name -> (file name, how to write it)
VIDEOS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    'constant_rate': ('a.mp4', lambda p: write_video(p, FRAMES)),
    'variable_rate': ('a.mp4', lambda p: write_video(p, FRAMES, times=UNEVEN, options=GROUPS)),
    'one_frame': ('a.mp4', lambda p: write_video(p, FRAMES[:1])),
    'one_long_group': ('a.mp4', lambda p: write_video(p, FRAMES, options={**GROUPS, 'g': '250'})),
    'groups': ('a.mp4', lambda p: write_video(p, FRAMES, options=GROUPS)),
    'groups_webm': ('a.webm', lambda p: write_video(p, FRAMES, codec='libvpx')),
    'full_range': ('a.mp4', lambda p: write_video(p, FRAMES, pix_fmt='yuvj420p')),
    'odd_size': ('a.mp4', lambda p: write_video(p, numbered_frames(9, 47, 65), pix_fmt='yuv444p')),
}
# Where other readers are known to be wrong (see their docstrings), or where 64 columns become
# 48, a width at which decord gives nothing.
PYAV_VIDEOS = {
    'open_groups': ('a.mp4', lambda p: write_video(p, FRAMES, options=OPEN_GROUPS)),
    'avi_b_frames': (
        'a.avi',
        lambda p: write_video(p, FRAMES, codec='mpeg4', options={'bf': '2', 'g': '10'}),
    ),
    'transport_stream': ('a.ts', lambda p: write_video(p, FRAMES, options=GROUPS)),
    'rotated_90': ('a.mp4', matrix(0, 1, -1, 0)),
    'rotated_180': ('a.mp4', matrix(-1, 0, 0, -1)),
    'rotated_270': ('a.mp4', matrix(0, -1, 1, 0)),
    'mirrored': ('a.mp4', matrix(-1, 0, 0, 1)),
    'odd_size_subsampled': (
        'a.avi',
        lambda p: write_video(p, numbered_frames(9, 47, 65), codec='mpeg4'),
    ),
}
# How a frame as stored becomes a frame as shown.
TURNS = {
    'rotated_90': lambda frame: np.rot90(frame, -1),
    'rotated_180': lambda frame: np.rot90(frame, 2),
    'rotated_270': lambda frame: np.rot90(frame, 1),
    'mirrored': lambda frame: frame[:, ::-1],
}
CASES = [(name, video) for name in WORKING for video in VIDEOS]
CASES += [('pyav', video) for video in PYAV_VIDEOS]


def decode_all(path: Path) -> list[np.ndarray]:
    """The plain way: every frame in turn."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]


@pytest.mark.parametrize(('name', 'video'), CASES)
def test_wanted_frames_equal_decoding_everything(name: str, video: str, tmp_path: Path) -> None:
    filename, write = {**VIDEOS, **PYAV_VIDEOS}[video]
    path = write(tmp_path / filename)
    stored = decode_all(path)
    assert [frame_number(frame) for frame in stored] == list(range(len(stored)))
    turn = TURNS.get(video, lambda frame: frame)
    count = len(stored)
    for indices in ([count - 1], [0], [count // 2, 0, count // 2, count - 1], range(count)):
        with READERS[name](path) as reader:
            assert reader.num_frames == count
            frames = reader.read(indices)
        assert len(frames) == len(indices)
        for index, frame in zip(indices, frames):
            np.testing.assert_array_equal(frame, turn(stored[index]))


@pytest.mark.parametrize('name', WORKING)
def test_repeated_frames_share_no_memory(name: str, tmp_path: Path) -> None:
    with READERS[name](write_video(tmp_path / 'a.mp4', FRAMES)) as reader:
        first, again = reader.read([4, 4])
        first[:] = 0
        assert again.any()


@pytest.mark.parametrize('name', WORKING)
def test_average_rate(name: str, tmp_path: Path) -> None:
    with READERS[name](write_video(tmp_path / 'a.mp4', FRAMES, fps=12)) as reader:
        assert reader.avg_fps == pytest.approx(12)


def test_index_out_of_range_names_the_file(tmp_path: Path) -> None:
    reader = open_video(write_video(tmp_path / 'a.mp4', FRAMES))
    with pytest.raises(ValueError, match=r'a\.mp4 must lie in \[0, 30\)'), reader:
        reader.read([30])


def test_pyav_decodes_only_the_groups_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / 'a.mp4', FRAMES, options={**GROUPS, 'bf': '0'})
    decoded = []
    decode = readers_pyav.PyAVReader._decode_packets

    def spy(
        self: readers_pyav.PyAVReader, packets: Iterator[av.Packet]
    ) -> Iterator[list[av.VideoFrame] | None]:
        for pictures in decode(self, packets):
            decoded.extend(pictures)
            yield pictures

    monkeypatch.setattr(readers_pyav.PyAVReader, '_decode_packets', spy)
    with readers_pyav.PyAVReader(path) as reader:
        reader.read([22, 3])
    assert len(decoded) == 4 + 3  # 0..3 and 20..22


def test_pyav_reads_large_files_without_keeping_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / 'a.mp4', FRAMES, options=GROUPS)
    monkeypatch.setattr(readers_pyav, '_KEEP_BYTES', 0)
    stored = decode_all(path)
    with readers_pyav.PyAVReader(path) as reader:
        for indices in ([25, 7], [0, 29]):
            for index, frame in zip(indices, reader.read(indices)):
                np.testing.assert_array_equal(frame, stored[index])


def test_pyav_holds_the_last_frame_where_one_is_never_shown(tmp_path: Path) -> None:
    """One picture that gives no frame, as in old AVIs and VP8, is no reason to refuse a video."""
    options = {**GROUPS, 'x264-params': 'scenecut=0:b-adapt=0:b-pyramid=none'}
    path = write_video(tmp_path / 'a.mp4', FRAMES, options=options)
    stored = decode_all(path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    between = next(p for p, before in zip(packets[1:], packets) if p.pts < before.pts)  # a B-frame
    index = sorted(packet.pts for packet in packets).index(between.pts)
    data = bytearray(path.read_bytes())
    data[between.pos : between.pos + between.size] = bytes(between.size)
    path.write_bytes(data)
    with readers_pyav.PyAVReader(path) as reader:
        before, unseen, after = reader.read([index - 1, index, index + 1])
    np.testing.assert_array_equal(before, stored[index - 1])
    np.testing.assert_array_equal(unseen, stored[index - 1])
    np.testing.assert_array_equal(after, stored[index + 1])


def no_frames(path: Path) -> None:
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        container.start_encoding()


def only_sound(path: Path) -> None:
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('aac', rate=16000, layout='mono')
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        frame.rate = 16000
        container.mux([*stream.encode(frame), *stream.encode()])


def without_end(path: Path) -> None:
    data = write_video(path, FRAMES).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def without_tail(path: Path) -> None:
    data = write_video(path, FRAMES, movflags='faststart', options=GROUPS).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def damaged(path: Path) -> None:
    data = bytearray(write_video(path, FRAMES, movflags='faststart').read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = bytes(1500)
    path.write_bytes(data)


BROKEN = {
    'missing': (lambda path: None, 'No such file'),
    'directory': (Path.mkdir, 'is a directory'),
    'empty': (Path.touch, 'is empty'),
    'text': (lambda path: path.write_text('hello\n' * 200), 'no video'),
    'noise': (lambda path: path.write_bytes(np.random.bytes(9000)), 'no video'),
    'no_frames': (no_frames, 'no video'),
    'only_sound': (only_sound, 'has no video stream'),
    'without_end': (without_end, 'lost'),
    'without_tail': (without_tail, r'truncated \(\d+ of its 30 frames are missing\)'),
    'damaged': (damaged, 'holds no frame that can be decoded'),
}


@pytest.mark.parametrize('kind', BROKEN)
@pytest.mark.parametrize('name', WORKING)
def test_broken_files(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / 'a.mp4'
    make, reason = BROKEN[kind]
    make(path)
    with pytest.raises(BrokenVideoError) as error, READERS[name](path) as reader:
        reader.read(range(reader.num_frames))
    assert error.value.filename == str(path)
    assert str(error.value) == f'{path}: {error.value.reason}'
    assert error.value.reason and '\n' not in error.value.reason
    if name == 'pyav':
        error.match(reason)


def test_error_survives_processes() -> None:
    error = pickle.loads(pickle.dumps(BrokenVideoError('a.mp4', 'is empty')))
    assert (error.filename, error.reason, str(error)) == ('a.mp4', 'is empty', 'a.mp4: is empty')
    assert str(BrokenVideoError(str(error))) == str(error)  # as a DataLoader rebuilds it


def test_unknown_backend() -> None:
    with pytest.raises(ValueError, match="backend='opencv' must be 'auto' or one of"):
        choose_backend('opencv')


def test_backend_that_does_not_work_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind(READERS['pyav']):
        def _decode(self, wanted: list[int]) -> list[np.ndarray]:
            return [np.zeros_like(frame) for frame in super()._decode(wanted)]

    monkeypatch.setitem(READERS, 'blind', Blind)
    with pytest.raises(ValueError, match='decodes a known clip wrongly'):
        choose_backend('blind')
