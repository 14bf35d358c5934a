"""Cut, joined and damaged files: the frames are those that a player shows, or the file is named."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.videos import frame_number, numbered_frames, write_video

from mmstan.datasets.readers import READERS, BrokenVideoError, open_video

FRAMES = numbered_frames(40)
GROUPS = {'g': '10', 'bf': '2', 'x264-params': 'scenecut=0:b-adapt=0'}
OPEN_GROUPS = {**GROUPS, 'x264-params': 'scenecut=0:b-adapt=0:open-gop=1'}
PACKET = 188  # bytes of a packet of a transport stream


def play(path: Path) -> list[np.ndarray]:
    """Every frame in the order in which a player shows them, without what cannot be decoded."""
    frames = []
    with av.open(str(path)) as container:
        for packet in list(container.demux(video=0)):
            try:
                frames += container.streams.video[0].decode(packet)
            except av.FFmpegError:
                continue
        return [frame.to_ndarray(format='rgb24') for frame in frames]


def transport_stream(path: Path, frames: np.ndarray = FRAMES, codec: str = 'libx264') -> bytes:
    options = OPEN_GROUPS if codec == 'libx264' else {'g': '10', 'bf': '2'}
    return write_video(path, frames, codec=codec, options=options, fps=25).read_bytes()


def without_start(path: Path) -> None:
    """As a recording that was switched on in the middle of a group of pictures."""
    data = transport_stream(path)
    start = len(data) // 3 // PACKET * PACKET
    path.write_bytes(data[start:])


def joined(path: Path) -> None:
    path.write_bytes(2 * transport_stream(path))


def joined_without_start(path: Path) -> None:
    data = transport_stream(path, codec='mpeg2video')
    path.write_bytes(data[len(data) // 3 // PACKET * PACKET :] + data)


def cut_off(path: Path) -> None:
    data = transport_stream(path, codec='mpeg2video')
    path.write_bytes(data[: len(data) * 2 // 3])


def joined_matroska(path: Path) -> None:
    path.write_bytes(2 * write_video(path, FRAMES, options=GROUPS).read_bytes())


def cut_avi(path: Path) -> None:
    data = write_video(path, FRAMES, codec='mpeg4', options={'bf': '2', 'g': '10'}).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def edit_list(path: Path) -> None:
    """As ``ffmpeg -ss 0.5 -c copy`` cuts: from a key frame on, the first frames not shown."""
    whole = write_video(path.with_name('whole.mp4'), FRAMES, options=GROUPS)
    with av.open(str(whole)) as source, av.open(str(path), 'w') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        shift = int(Fraction(14, 8) / source.streams.video[0].time_base)
        for packet in list(source.demux(video=0))[10:]:
            if packet.size:
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                target.mux(packet)


PIECES: dict[str, tuple[str, Callable[[Path], None]]] = {
    'without_start': ('a.ts', without_start),
    'joined': ('a.ts', joined),
    'joined_without_start': ('a.ts', joined_without_start),
    'cut_off': ('a.ts', cut_off),
    'joined_matroska': ('a.mkv', joined_matroska),
    'cut_avi': ('a.avi', cut_avi),
    'edit_list': ('a.mp4', edit_list),
}


@pytest.mark.parametrize('keep', [True, False])
@pytest.mark.parametrize('kind', PIECES)
def test_a_players_frames(
    kind: str, keep: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not keep:
        request.getfixturevalue('forgetful')
    name, make = PIECES[kind]
    path = tmp_path / name
    make(path)
    right = play(path)
    assert 5 < len(right) <= 80
    with READERS['pyav'](path) as reader:
        assert reader.num_frames == len(right)
        for indices in (range(len(right)), [len(right) - 1], [len(right) // 2, 0]):
            for index, frame in zip(indices, reader.read(indices), strict=True):
                np.testing.assert_array_equal(frame, right[index])


def test_known_numbers_of_frames(tmp_path: Path) -> None:
    """Of the pieces above, without a decoder's word for it."""
    edit_list(tmp_path / 'a.mp4')
    with READERS['pyav'](tmp_path / 'a.mp4') as reader:
        assert [frame_number(x) for x in reader.read(range(26))] == list(range(14, 40))
        assert reader.num_frames == 26
    joined(tmp_path / 'b.ts')
    with READERS['pyav'](tmp_path / 'b.ts') as reader:
        numbers = [frame_number(x) for x in reader.read(range(80))]
        assert numbers == [*range(40), *range(40)]
        assert reader.num_frames == 80


def test_frames_of_another_size_are_resized_to_the_first(tmp_path: Path) -> None:
    small = transport_stream(tmp_path / 'a.ts', FRAMES[:10])
    big = transport_stream(tmp_path / 'b.ts', numbered_frames(20, 96, 128)[10:])
    path = tmp_path / 'both.ts'
    path.write_bytes(small + big)
    with open_video(path) as reader:
        assert reader.num_frames == 20
        frames = reader.read(range(20))
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert [frame_number(frame) for frame in frames] == list(range(20))


@pytest.mark.parametrize('suffix', ['avi', 'ts', 'flv'])
def test_a_stream_without_a_frame_is_named(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f'a.{suffix}', FRAMES, options=GROUPS)
    with av.open(str(path)) as container:
        sizes = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for start, size in sizes:
        data[start + 20 : start + size] = bytes(max(0, size - 20))
    path.write_bytes(data)
    with pytest.raises(BrokenVideoError) as error, open_video(path) as reader:
        reader.read(range(reader.num_frames))
    assert error.value.filename == str(path)
