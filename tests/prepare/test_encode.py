import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event

import av
import numpy as np
import pytest
from helpers.videos import frame_number, numbered_frames, set_display_matrix, write_video

from mmstan.datasets.readers import BrokenVideoError, open_video
from mmstan.datasets.readers.pyav import PyAVReader
from mmstan.prepare import encode
from mmstan.prepare.check import check_video
from mmstan.prepare.encode import Encoding, encode_part, encode_videos
from mmstan.prepare.entries import Entry

SMALL = Encoding(short_side=24, gop=4)


def encode_one(
    path: Path,
    target: Path,
    encoding: Encoding = SMALL,
    start: float = 0.0,
    end: float | None = None,
) -> Path:
    with PyAVReader(path) as reader:
        entry = Entry(str(path), path.name, 'a', start=start, end=end)
        encode_part(reader, entry, str(target), encoding, Event())
    return target


def numbers(path: Path) -> list[int]:
    """The numbers that a video's frames show."""
    with open_video(path, 'pyav') as video:
        return [frame_number(frame) for frame in video.read(range(video.num_frames))]


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return sorted(float(packet.pts * packet.time_base) for packet in container.demux(video=0)
                      if packet.size)  # fmt: skip


def test_an_encoded_video_shows_the_same_frames_small_and_with_many_key_frames(
    tmp_path: Path,
) -> None:
    source = write_video(tmp_path / 'in.mp4', numbered_frames(20))
    target = encode_one(source, tmp_path / 'deep/out.mp4')
    assert numbers(target) == [*range(20)]
    with av.open(str(target)) as container:
        (stream,) = container.streams
        assert (stream.codec.name, stream.width, stream.height) == ('h264', 32, 24)
        keys = [i for i, packet in enumerate(container.demux()) if packet.is_keyframe]
    assert keys[0] == 0 and max(b - a for a, b in itertools.pairwise([*keys, 20])) <= 4
    with open_video(source) as before, open_video(target) as after:
        assert after.avg_fps == pytest.approx(before.avg_fps)
        old, new = (x.read([3])[0].astype(float).mean((0, 1)) for x in (before, after))
    assert np.abs(old - new).max() < 6  # colours
    assert not list(tmp_path.rglob('*.part'))


def test_variable_frame_rates_and_phone_videos(tmp_path: Path) -> None:
    stamps = [0, 40, 400, 430, 1000, 1100]
    source = write_video(tmp_path / 'vfr.mp4', numbered_frames(6), times=stamps)
    assert times(encode_one(source, tmp_path / 'out.mp4')) == pytest.approx(
        [stamp / 1000 for stamp in stamps], abs=1e-3
    )
    turned = set_display_matrix(write_video(tmp_path / 't.mp4', numbered_frames(4)), 0, 1, -1, 0)
    with open_video(turned) as video:
        upright = video.read([2])[0]
    with open_video(encode_one(turned, tmp_path / 't_out.mp4', Encoding(None))) as video:
        assert np.abs(video.read([2])[0].astype(int) - upright).mean() < 4


@pytest.mark.parametrize('suffix', ['mp4', 'avi'])
@pytest.mark.parametrize(
    ('start', 'end', 'shown'),
    [(0.0, 0.5, [0, 1, 2, 3]), (1.1, 1.5, [8, 9, 10, 11]), (2.0, None, [16, 17, 18, 19]),
     (2.3, 99.0, [18, 19]), (0.3, 0.31, [2])],
)  # fmt: skip
def test_parts(
    suffix: str, start: float, end: float | None, shown: list[int], tmp_path: Path
) -> None:
    codec = dict(codec='mpeg4', options={'qscale': '1'}) if suffix == 'avi' else {}
    source = write_video(tmp_path / f'in.{suffix}', numbered_frames(20), **codec)
    part = encode_one(source, tmp_path / 'out.mp4', Encoding(None), start, end)
    assert numbers(part) == shown


def test_sizes_are_even_and_never_grow(tmp_path: Path) -> None:
    source = write_video(
        tmp_path / 'in.avi', numbered_frames(3, 31, 33), codec='ffv1', pix_fmt='bgr0'
    )
    facts = check_video(str(encode_one(source, tmp_path / 'out.mp4', Encoding())))
    assert (facts.height, facts.width, facts.frames) == (32, 34, 3)


def test_frames_that_are_lost_are_an_error_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_video(tmp_path / 'in.mp4', numbered_frames(20))
    monkeypatch.setattr(encode, 'play', lambda reader, start: iter([(0.0, numbered_frames(1)[0])]))
    with pytest.raises(BrokenVideoError, match='is damaged: 1 of its 20 frames are decoded'):
        encode_one(source, tmp_path / 'out.mp4')
    assert not (tmp_path / 'out.mp4').exists()


def test_what_is_done_is_not_done_again_and_nothing_is_half_written(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [Entry(str(clips / f'{i}.mp4'), f'{i}.mp4', 'a') for i in range(4)]
    facts = {entry.path: check_video(entry.path) for entry in entries}
    arguments = (entries, facts, SMALL, tmp_path, 2)

    class Killed(BaseException):
        pass

    add, added = encode._Writer.add, []

    def stop_in_the_third(self: encode._Writer, *args: object) -> None:
        added.append(1)
        if len(added) > 15:  # two videos have 6 and 7 frames
            raise Killed
        add(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(encode._Writer, 'add', stop_in_the_third)
        with pytest.raises(Killed):
            encode_videos(*arguments[:-1], 1)
    whole = {path: path.stat().st_mtime_ns for path in tmp_path.glob('*.mp4')}
    assert len(whole) == 2 and len(list(tmp_path.glob('*.part'))) == 1
    made, problems, known = encode_videos(*arguments)
    assert (len(made), problems, known) == (4, {}, 2)
    assert [len(numbers(Path(path))) for path in made.values()] == [6, 7, 8, 9]
    assert all(path.stat().st_mtime_ns == before for path, before in whole.items())
    assert not list(tmp_path.glob('*.part'))
    assert encode_videos(*arguments)[2] == 4
    other = encode_videos(entries, facts, Encoding(24, 8), tmp_path, 2)[0]
    assert not {*other.values()} & {*made.values()}  # other settings are other files


@pytest.mark.parametrize(
    ('code', 'kind', 'message'),
    [(errno.ENOSPC, OSError, 'out.mp4.part cannot be written: No space left'),
     (errno.EINVAL, BrokenVideoError, 'cannot be encoded again')],
)  # fmt: skip
def test_a_full_disk_is_not_a_broken_video(
    code: int, kind: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise av.FFmpegError(code, os.strerror(code))

    source = write_video(tmp_path / 'in.mp4', numbered_frames(3))
    monkeypatch.setattr(encode._Writer, 'add', fail)
    with pytest.raises(kind, match=message):
        encode_one(source, tmp_path / 'out.mp4')


def test_a_pyav_without_the_encoder_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode.av, 'codecs_available', {'mpeg4'})
    with pytest.raises(ValueError, match='are encoded with libx264, which this build of PyAV does'):
        encode_videos([], {}, SMALL, tmp_path, 1)


def test_encoded_videos_take_the_place_of_the_sources(
    folder: Callable[..., Path], prepare: Callable[..., str], tmp_path: Path
) -> None:
    videos = folder({f'{label} {label}/{i}.mp4': i + 3 * (label == 'b') for label in 'ab'
                     for i in range(3)})  # fmt: skip
    said = prepare(videos, '--encode', 'short-side=32,gop=8')
    assert (
        'encoded   6 videos (H.264, short side 32, a key frame every 8 frames or less, no audio)'
        in said
    )
    assert str(videos) not in (tmp_path / 'mine/config.py').read_text().split('\n', 1)[1]
    for split in ('train', 'val', 'test'):
        for line in (tmp_path / f'mine/{split}.txt').read_text().splitlines():
            path = tmp_path / 'mine/encoded' / line.split('\t')[0]
            assert check_video(str(path)).height == 32
    report = (tmp_path / 'mine/report.md').read_text()
    assert '- 6 of 6 (H.264, short side 32, a key frame every 8 frames or less, no audio)' in report
