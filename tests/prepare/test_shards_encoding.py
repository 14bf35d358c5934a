"""Small clips show what the video shows at the same times."""

import io
import os
from bisect import bisect_right
from pathlib import Path

import av
import mmcv
import numpy as np
import pytest
from helpers.scripts import PROJECT
from helpers.videos import frame_number, numbered_frames, set_display_matrix, write_video

from mmstan.datasets.readers import BrokenVideoError, open_video
from mmstan.datasets.readers.play import play_pictures
from mmstan.datasets.readers.pyav import PyAVReader
from mmstan.datasets.readers.to_rgb import find_orientation, to_rgb
from mmstan.prepare.shards import ClipEncoding, EncodedClip, encode_clip

VIDEOS = Path(os.environ.get('MMSTAN_VIDEOS') or PROJECT / '../shared/videos').resolve()
FILMED = sorted(path for path in VIDEOS.glob('*') if path.suffix in ('.mp4', '.avi'))


def encode(path: Path, *span: float, **settings: float) -> EncodedClip:
    with PyAVReader(path) as reader:
        return encode_clip(reader, ClipEncoding(**settings), *span)


def read(clip: EncodedClip) -> list[np.ndarray]:
    with open_video(io.BytesIO(clip.data)) as video:
        assert (video.num_frames, video.avg_fps) == (clip.frames, pytest.approx(clip.fps))
        return video.read(range(video.num_frames))


def numbers(clip: EncodedClip) -> list[int]:
    return [frame_number(frame) for frame in read(clip)]


@pytest.mark.skipif(not FILMED, reason=f'no filmed videos in {VIDEOS}')
@pytest.mark.parametrize('path', FILMED, ids=lambda path: path.name)
def test_frames_of_filmed_videos_at_equal_times(path: Path) -> None:
    clip = encode(path, short_side=128)
    frames = read(clip)
    with PyAVReader(path) as reader:
        shown = list(play_pictures(reader))
    seconds = [second for second, _ in shown]
    assert clip.frames == pytest.approx((seconds[-1] + 1 / reader.avg_fps) * clip.fps, abs=1)
    for number in np.linspace(0, clip.frames - 1, 8).astype(int):
        picture = shown[bisect_right(seconds, number / clip.fps + 1e-4) - 1][1]
        source = to_rgb(picture, find_orientation(picture))
        small = mmcv.imresize(source, clip.size[::-1], interpolation='area').astype(int)
        assert np.abs(small - frames[number]).mean() < 12


def test_every_frame_is_a_key_frame_and_there_is_no_sound(tmp_path: Path) -> None:
    source = write_video(tmp_path / 'in.mp4', numbered_frames(32), fps=16)
    clip = encode(source, short_side=24)
    with av.open(io.BytesIO(clip.data)) as container:
        (stream,) = container.streams
        assert (stream.codec.name, stream.width, stream.height) == ('h264', 32, 24)
        assert stream.pix_fmt == 'yuv420p'
        packets = [packet for packet in container.demux() if packet.size]
    assert all(packet.is_keyframe for packet in packets) and len(packets) == clip.frames
    assert numbers(clip) == [*range(0, 32, 2)]  # every second one
    with_groups = encode(source, gop=4)
    with av.open(io.BytesIO(with_groups.data)) as container:
        packets = [packet for packet in container.demux() if packet.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert keys[0] == 0 and 0 < max(np.diff([*keys, 16])) <= 4 and len(keys) < 16


def test_reading_some_frames_decodes_no_others(tmp_path: Path) -> None:
    clip = encode(write_video(tmp_path / 'in.mp4', numbered_frames(40)))
    with open_video(io.BytesIO(clip.data)) as video:
        decoded, decode = [], video._decode_packets

        def count(packets):
            for pictures in decode(packets):
                decoded.extend(pictures or ())
                yield pictures

        video._decode_packets = count
        assert [frame_number(frame) for frame in video.read([3, 17, 38])] == [3, 17, 38]
    assert len(decoded) == 3


def test_times_of_an_uneven_frame_rate(tmp_path: Path) -> None:
    stamps = [0, 40, 400, 430, 1000, 1100]
    source = write_video(tmp_path / 'vfr.mp4', numbered_frames(6), times=stamps)
    clip = encode(source, fps=4)
    shown = [bisect_right(stamps, 250 * k) - 1 for k in range(clip.frames)]
    assert numbers(clip) == shown and shown[:5] == [0, 1, 3, 3, 4]
    assert numbers(encode(source, 0.4, 1.0, fps=4)) == [2, 3, 3]


def test_a_slow_video_keeps_its_rate_and_a_small_one_its_size(tmp_path: Path) -> None:
    source = write_video(tmp_path / 'in.mp4', numbered_frames(6), fps=2)
    clip = encode(source)
    assert (clip.frames, clip.fps, clip.size) == (6, 2.0, (48, 64))
    odd = write_video(tmp_path / 'odd.avi', numbered_frames(3, 31, 33), codec='ffv1',
                      pix_fmt='bgr0')  # fmt: skip
    clip = encode(odd)
    assert (clip.size, clip.size_before) == ((30, 32), (31, 33))


def test_a_turned_video_becomes_upright(tmp_path: Path) -> None:
    turned = set_display_matrix(write_video(tmp_path / 't.mp4', numbered_frames(4)), 0, 1, -1, 0)
    clip = encode(turned, short_side=24)
    assert (clip.size, clip.size_before) == ((32, 24), (64, 48))
    with open_video(turned) as video:
        upright = mmcv.imresize(video.read([2])[0], (24, 32), interpolation='area')
    assert np.abs(read(clip)[2].astype(int) - upright).mean() < 6


@pytest.mark.parametrize(
    ('start', 'end', 'shown'),
    [(0.0, 0.5, [0, 1, 2, 3]), (1.1, 1.5, [8, 9, 10, 11]), (2.0, None, [16, 17, 18, 19]),
     (2.3, 99.0, [18, 19])],
)  # fmt: skip
def test_windows(start: float, end: float | None, shown: list[int], tmp_path: Path) -> None:
    source = write_video(tmp_path / 'in.mp4', numbered_frames(20))
    assert numbers(encode(source, start, end)) == shown


def test_broken_videos_have_no_clip(tmp_path: Path) -> None:
    source = write_video(tmp_path / 'in.mp4', numbered_frames(8))
    with pytest.raises(BrokenVideoError, match='ends before second 30'):
        encode(source, 30.0, 40.0)
    with PyAVReader(source) as reader:
        reader.num_frames = 20  # as if the others were lost
        with pytest.raises(BrokenVideoError, match='is damaged: 8 of its 20 frames'):
            encode_clip(reader, ClipEncoding())


def test_without_x264_there_is_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_video(tmp_path / 'in.mp4', numbered_frames(5))
    monkeypatch.setattr(av, 'codecs_available', {'mpeg4'})
    assert 'MPEG-4 (this PyAV has no x264)' in str(ClipEncoding())
    assert numbers(encode(source)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ('setting', 'message'),
    [('short_side', '--short-side 0 must be 16 or more'), ('fps', '--fps 0 must be 0.1 or more'),
     ('gop', '--gop 0 must be 1 or more')],
)  # fmt: skip
def test_settings_out_of_range(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipEncoding(**{setting: 0})
