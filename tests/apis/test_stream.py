"""A long video, piece by piece."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition
from helpers.videos import frame_number, numbered_frames, write_video

from mmstan.apis.inputs import count_frames
from mmstan.apis.stream import keep_at_rate, read_frames
from mmstan.apis.video_model import VideoModel
from mmstan.datasets.readers import BrokenVideoError

Models = Callable[[str], VideoModel]


@pytest.fixture(scope='module')
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds at 8 frames a second, whose frames show their numbers."""
    return write_video(tmp_path_factory.mktemp('film') / 'film.mp4', numbered_frames(64))


def test_pieces_are_videos_of_their_own(tiny_model: Models, film: Path) -> None:
    model = tiny_model('stan/k400_b16')
    frames = np.stack([frame for _, frame in read_frames(film)])
    assert [frame_number(frame) for frame in frames] == list(range(64))
    pieces = list(model.stream(film, seconds=4, stride=2))
    assert [(x.start, x.end) for x in pieces] == [(0, 4), (2, 6), (4, 8)]
    for piece in pieces:
        shown = frames[int(piece.start * 8) : int(piece.end * 8)]  # eight segments of four frames
        wanted = model.classify(shown)
        assert piece.scores is not None and len(piece.scores.names) == 8
        np.testing.assert_allclose(piece.scores.all, wanted.all, atol=1e-6)
        torch.testing.assert_close(piece.feature, model.embed(shown), rtol=0, atol=1e-5)


def test_clip_sees_each_frame_once(tiny_model: Models, film: Path) -> None:
    model = tiny_model('baselines/clip_mean/k400_b16')
    seen: list[int] = []
    backbone = model.model.backbone
    hook = backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[2]))
    count = count_frames(model.reader)
    seconds = count / 4  # four frames a second
    pieces = list(model.stream(film, seconds=seconds, stride=seconds / 2, texts=['a', 'b']))
    hook.remove()
    assert sum(seen) == 32 and model.model.backbone is backbone
    frames = np.stack([frame for _, frame in read_frames(film)])
    for piece in pieces[:-1]:
        wanted = model.similarity(['a', 'b'], frames[int(piece.start * 8) : int(piece.end * 8)])
        assert piece.scores is not None
        np.testing.assert_allclose(piece.scores.all, wanted[:, 0].numpy(), atol=1e-5)


@pytest.mark.parametrize('name', ['baselines/clip_mean/k400_b16', 'stan/k400_b16'])
def test_the_model_is_its_own_between_pieces(
    name: str, tiny_model: Models, film: Path, clips: list[Path]
) -> None:
    model = tiny_model(name)
    before, feature = model.classify(clips[0]), model.embed(clips[0])
    pieces = model.stream(film, seconds=4, stride=4, class_names=['a', 'b'])
    others = model.stream(film, seconds=4, stride=4, texts=['one', 'two'])
    for piece, other in zip(pieces, others):
        within = model.classify(clips[0])
        assert within.names == before.names and (within.all == before.all).all()
        assert torch.equal(model.embed(clips[0]), feature)
        assert piece.scores is not None and sorted(piece.scores.names) == ['a', 'b']
        assert other.scores is not None and sorted(other.scores.names) == ['one', 'two']


def test_names_of_a_stream_are_encoded_once(tiny_model: Models, film: Path) -> None:
    model, seen = tiny_model('stan/k400_b16'), []
    tower = model.model.cls_head.texts.tower
    hook = tower.register_forward_hook(lambda _, args, out: seen.append(len(args[0])))
    assert len(list(model.stream(film, seconds=4, stride=2, class_names=['a', 'b', 'c']))) == 3
    hook.remove()
    assert seen == [3]


def test_starts_that_round_to_one_frame(tiny_model: Models, film: Path) -> None:
    starts = [x.start for x in tiny_model('stan/k400_b16').stream(film, seconds=4, stride=0.25)]
    assert starts[:17] == [i / 4 for i in range(17)]


def test_the_rest_is_a_shorter_piece(tiny_model: Models, film: Path) -> None:
    model = tiny_model('stan/k400_b16')
    assert [(x.start, x.end) for x in model.stream(film, seconds=5, stride=5)] == [(0, 5), (5, 8)]
    assert [(x.start, x.end) for x in model.stream(film, seconds=60)] == [(0, 8)]


def test_frames_of_a_camera(tiny_model: Models, film: Path) -> None:
    model = tiny_model('mug_stan/msrvtt_b32')
    frames = (frame for _, frame in read_frames(film))
    live = list(model.stream(frames, fps=8, seconds=4, stride=4))
    filed = list(model.stream(film, seconds=4, stride=4))
    assert len(live) == len(filed) == 2 and live[0].scores is None
    torch.testing.assert_close(live[1].feature, filed[1].feature)


def test_frames_are_kept_by_their_time() -> None:
    frames = [(time, np.full((1, 1, 3), i)) for i, time in enumerate((0.0, 0.1, 1.0, 1.1))]
    kept = [(x.key, None if x.frame is None else x.frame.min()) for x in keep_at_rate(frames, 2.0)]
    assert kept == [(0, 1), (1, 1), (2, None)]  # at 0.25 s and 0.75 s; the video ends at 1.2 s


def test_a_camera_that_is_lost(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost:
        def __init__(self, inner: Any) -> None:
            self.inner, self.streams = inner, inner.streams

        def __enter__(self) -> None:
            self.inner.__enter__()

        def __exit__(self, *error: Any) -> None:
            self.inner.__exit__(*error)

        def demux(self, stream: Any) -> Iterator[Any]:
            yield from itertools.islice(self.inner.demux(stream), 20)
            raise av.InvalidDataError(1, 'the connection is lost')

    opened = av.open
    monkeypatch.setattr(av, 'open', lambda *args, **options: Lost(opened(*args, **options)))
    frames = read_frames(film)
    next(frames)
    with pytest.raises(BrokenVideoError, match='cannot be read to its end'):
        list(frames)


def test_a_title_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / 'old.avi'
    with av.open(str(path), 'w') as container:
        container.metadata['title'] = 'caf#'
        stream = container.add_stream('mpeg4', rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuv420p'
        for frame in numbered_frames(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, 'rgb24')))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b'caf#', b'caf\xe9'))
    assert len(list(read_frames(path))) == 3


def test_a_sound_file_with_a_cover_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / 'song.mp4'
    with av.open(str(path), 'w') as container:
        sound = container.add_stream('aac', rate=16000, layout='mono')
        cover = container.add_stream('mjpeg', rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, 'yuvj420p'
        cover.disposition = Disposition.attached_pic
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), 'fltp', 'mono')
        silence.rate = 16000
        picture = av.VideoFrame.from_ndarray(numbered_frames(1)[0], 'rgb24')
        container.mux([*cover.encode(picture), *cover.encode()])
        container.mux([*sound.encode(silence), *sound.encode()])
    with pytest.raises(BrokenVideoError, match='has no video stream'):
        list(read_frames(path))


def test_what_cannot_be_streamed(tiny_model: Models, film: Path, tmp_path: Path) -> None:
    model = tiny_model('stan/k400_b16')
    with pytest.raises(ValueError, match='seconds=0'):
        next(model.stream(film, seconds=0))
    with pytest.raises(ValueError, match='fps=None: an iterator of frames needs'):
        next(model.stream(iter([])))
    with pytest.raises(ValueError, match='fps=8: a file has its own'):
        next(model.stream(film, fps=8))
    with pytest.raises(ValueError, match=r'SampleFrames\(frame_interval=.*SampleSegments'):
        next(tiny_model('baselines/evl/k400_b16').stream(film))
    with pytest.raises(ValueError, match='not both'):
        next(model.stream(film, class_names=['a'], texts=['a']))
    with pytest.raises(ValueError, match='float64, expected'):
        next(model.stream([np.zeros((4, 4, 3))], fps=8))
    with pytest.raises(BrokenVideoError, match='cannot be opened'):
        next(model.stream(tmp_path / 'missing.mp4'))
    (tmp_path / 'text.mp4').write_text('no video')
    with pytest.raises(BrokenVideoError, match='cannot be opened'):
        next(model.stream(tmp_path / 'text.mp4'))
