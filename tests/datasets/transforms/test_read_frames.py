from fractions import Fraction
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from helpers.videos import frame_number, numbered_frames, set_display_matrix, write_video
from mmaction.registry import TRANSFORMS
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmstan.datasets.readers import BrokenVideoError, open_video
from mmstan.datasets.transforms import choose_in_segments, choose_middles

SEGMENTS = dict(type='mmstan.SampleSegments', num_frames=8)
PACK = [
    dict(type='Resize', scale=(-1, 40)),
    dict(type='CenterCrop', crop_size=32),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


@pytest.fixture(scope='module')
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp('video') / 'a.mp4'
    return str(write_video(path, numbered_frames(40), options={'g': '10'}))


def read(filename: str, sampler: dict[str, Any], **keys: Any) -> dict[str, Any]:
    transform = TRANSFORMS.build(dict(type='mmstan.ReadFrames', sampler=sampler))
    return transform(dict(filename=filename, modality='RGB', start_index=0, label=1, **keys))


def compose(*pipeline: dict[str, Any]) -> Compose:
    with DefaultScope.overwrite_default_scope('mmaction'):
        return Compose([TRANSFORMS.build(step) for step in pipeline])


def test_segments_are_equal_and_middles_are_middle() -> None:
    middles = choose_in_segments(40, np.full(8, 0.5))
    assert middles.tolist() == [2, 7, 12, 17, 22, 27, 32, 37]
    assert choose_in_segments(3, np.full(8, 0.5)).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert choose_in_segments(1, np.full(8, 0.999)).tolist() == [0] * 8
    assert choose_in_segments(16, np.array([np.nextafter(1, 0)] * 4)).max() < 16


def test_training_draws_every_frame_of_each_segment_and_no_other() -> None:
    sampler = TRANSFORMS.build(SEGMENTS)
    drawn = [sampler(dict(total_frames=40, start_index=0))['frame_inds'] for _ in range(200)]
    for segment, frames in enumerate(np.stack(drawn).T):
        assert set(frames) == set(range(5 * segment, 5 * segment + 5))


def test_test_clips_take_the_middles_of_the_segments_parts() -> None:
    sampler = TRANSFORMS.build(dict(SEGMENTS, num_frames=4, num_clips=2, test_mode=True))
    results = sampler(dict(total_frames=40, start_index=0))
    assert results['frame_inds'].tolist() == [2, 12, 22, 32, 7, 17, 27, 37]
    assert (results['num_clips'], results['clip_len']) == (2, 4)


def test_middles_are_exact() -> None:
    sampler = TRANSFORMS.build(dict(SEGMENTS, num_frames=12, test_mode=True))
    assert sampler(dict(total_frames=392, start_index=0))['frame_inds'][7] == 245  # 7.5 / 12
    assert choose_middles(100, 8).tolist() == [[6, 18, 31, 43, 56, 68, 81, 93]]
    assert choose_middles(5, 8).tolist() == [[0, 0, 1, 2, 2, 3, 4, 4]]
    for total in range(1, 400, 7):
        for frames, clips in ((8, 1), (12, 1), (12, 3), (24, 4)):
            expected = [
                [
                    total * Fraction(2 * (i * clips + c) + 1, 2 * frames * clips) // 1
                    for i in range(frames)
                ]
                for c in range(clips)
            ]
            assert choose_middles(total, frames, clips).tolist() == expected


@pytest.mark.parametrize('argument', ['num_frames', 'num_clips'])
def test_sampler_refuses_nothing(argument: str) -> None:
    with pytest.raises(ValueError, match=f'{argument}=0 must be at least 1'):
        TRANSFORMS.build(dict(SEGMENTS, **{argument: 0}))


def test_frames_are_those_that_were_sampled(video: str) -> None:
    results = read(video, SEGMENTS)
    assert [frame_number(frame) for frame in results['imgs']] == results['frame_inds'].tolist()
    assert results['total_frames'] == 40
    assert results['avg_fps'] == 8
    assert results['img_shape'] == results['original_shape'] == (48, 64)


@pytest.mark.parametrize(
    ('sampler', 'shape'),
    [
        (SEGMENTS, (1, 3, 8, 32, 32)),
        (dict(SEGMENTS, num_clips=3, test_mode=True), (3, 3, 8, 32, 32)),
        (dict(SEGMENTS, num_frames=64), (1, 3, 64, 32, 32)),
        (dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=5), (5, 3, 4, 32, 32)),
        (dict(type='SampleFrames', clip_len=1, num_clips=6, test_mode=True), (6, 3, 1, 32, 32)),
        (dict(type='UniformSample', clip_len=8, num_clips=2, test_mode=True), (2, 3, 8, 32, 32)),
    ],
)
@pytest.mark.parametrize('blank', [False, True])
def test_stock_transforms_follow(
    sampler: dict[str, Any], shape: tuple[int, ...], blank: bool, video: str
) -> None:
    pipeline = compose(dict(type='mmstan.ReadFrames', sampler=sampler), *PACK)
    filename = 'missing.mp4' if blank else video
    packed = pipeline(dict(filename=filename, label=1, start_index=0, modality='RGB', blank=blank))
    assert packed['inputs'].shape == shape
    assert bool(packed['inputs'].any()) is not blank
    assert packed['data_samples'].gt_label == 1


@pytest.mark.parametrize(
    'sampler',
    [
        dict(SEGMENTS, test_mode=True),
        dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=2, test_mode=True),
    ],
)
def test_stock_decoding_gives_the_same(sampler: dict[str, Any], moving_shapes: Path) -> None:
    filename = str(moving_shapes / 'recognition/train/000000.mp4')
    own = compose(dict(type='mmstan.ReadFrames', sampler=sampler), *PACK)
    stock = compose(dict(type='DecordInit'), sampler, dict(type='DecordDecode'), *PACK)
    info = dict(filename=filename, label=1, start_index=0, modality='RGB')
    torch.testing.assert_close(own(dict(info))['inputs'], stock(dict(info))['inputs'])


def test_stock_flip_follows_without_more_keys(video: str) -> None:
    pipeline = compose(
        dict(type='mmstan.ReadFrames', sampler=dict(SEGMENTS, test_mode=True)),
        dict(type='Flip', flip_ratio=1),
    )
    plain = read(video, dict(SEGMENTS, test_mode=True))['imgs']
    flipped = pipeline(dict(filename=video))['imgs']
    np.testing.assert_array_equal(np.stack(flipped), np.stack(plain)[:, :, ::-1])


def test_missing_file() -> None:
    with pytest.raises(BrokenVideoError, match=r'no/such\.mp4: cannot be found'):
        read('no/such.mp4', SEGMENTS)


def test_phone_video_stands_upright(tmp_path: Path) -> None:
    frames = np.rot90(numbered_frames(8, 64, 64), 1, axes=(1, 2))  # as the sensor lies
    path = set_display_matrix(write_video(tmp_path / 'a.mp4', frames), 0, 1, -1, 0)
    results = read(str(path), dict(SEGMENTS, test_mode=True))
    assert [frame_number(frame) for frame in results['imgs']] == list(range(8))


@pytest.mark.parametrize(
    ('frames', 'times', 'size'),
    [
        pytest.param(1, None, (48, 64), id='one frame'),
        pytest.param(3, None, (48, 64), id='fewer than are sampled'),
        pytest.param(20, None, (47, 65), id='odd size'),
        pytest.param(20, [i * i * 10 for i in range(20)], (48, 64), id='variable frame rate'),
    ],
)
def test_uncommon_videos(
    frames: int, times: list[int] | None, size: tuple[int, int], tmp_path: Path
) -> None:
    pix_fmt = 'yuv444p' if size[0] % 2 else 'yuv420p'
    clip = numbered_frames(frames, *size)
    path = write_video(tmp_path / 'a.mp4', clip, times=times, pix_fmt=pix_fmt)
    results = read(str(path), dict(SEGMENTS, test_mode=True))
    assert results['total_frames'] == frames
    assert [frame_number(frame) for frame in results['imgs']] == results['frame_inds'].tolist()
    assert {frame.shape for frame in results['imgs']} == {(*size, 3)}
    pipeline = compose(dict(type='mmstan.ReadFrames', sampler=SEGMENTS), *PACK)
    packed = pipeline(dict(filename=str(path), label=0, start_index=0, modality='RGB'))
    assert packed['inputs'].shape == (1, 3, 8, 32, 32)


def test_boxes_are_scaled_to_pixels(video: str) -> None:
    results = read(video, SEGMENTS, gt_bboxes=np.array([[0.25, 0.5, 0.75, 1.0]]), proposals=None)
    np.testing.assert_array_equal(results['gt_bboxes'], [[16, 24, 48, 48]])


def test_same_seed_same_frames(video: str) -> None:
    def draw() -> list[int]:
        np.random.seed(3)
        return read(video, SEGMENTS)['frame_inds'].tolist()

    assert draw() == draw()


def test_frames_in_memory(video: str) -> None:
    with open_video(video) as reader:
        frames = np.stack(reader.read(range(reader.num_frames)))
    transform = TRANSFORMS.build(dict(type='mmstan.ReadFrames', sampler=SEGMENTS))
    for array in (frames, torch.from_numpy(frames)):
        results = transform(dict(array=array, modality='RGB', start_index=0))
        numbers = [frame_number(frame) for frame in results['imgs']]
        assert numbers == results['frame_inds'].tolist()
        assert (results['total_frames'], results['avg_fps']) == (40, 1)
        results['imgs'][0][:] = 0  # as a stock transform does
        assert frame_number(frames[results['frame_inds'][0]]) == numbers[0]


@pytest.mark.parametrize(
    'array',
    [
        np.zeros((4, 8, 8, 3), np.float32),
        np.zeros((4, 3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_frames(array: np.ndarray) -> None:
    transform = TRANSFORMS.build(dict(type='mmstan.ReadFrames', sampler=SEGMENTS))
    with pytest.raises(ValueError, match=r'expected frames \(T, H, W, 3\), uint8 RGB') as error:
        transform(dict(array=array))
    assert str(array.shape) in str(error.value)


def test_what_is_no_video() -> None:
    transform = TRANSFORMS.build(dict(type='mmstan.ReadFrames', sampler=SEGMENTS))
    for results in ({}, dict(filename=None), dict(filename=3)):
        with pytest.raises(ValueError, match='ReadFrames reads a video file, filename='):
            transform(results)


def test_frames_of_a_folder(tmp_path: Path) -> None:
    for number, frame in enumerate(numbered_frames(12), start=5):
        mmcv.imwrite(frame[..., ::-1], str(tmp_path / f'{number:03}.png'))
    results = dict(frame_dir=str(tmp_path), filename_tmpl='{:03}.png', total_frames=12)
    transform = TRANSFORMS.build(dict(type='mmstan.ReadFrames', sampler=SEGMENTS))
    read_frames = transform(dict(results, start_index=5))
    numbers = [frame_number(frame) for frame in read_frames['imgs']]
    assert numbers == read_frames['frame_inds'].tolist()
    with pytest.raises(BrokenVideoError, match=r"frame '0\d\d.png' is missing"):
        transform(dict(results, start_index=20))
    with pytest.raises(BrokenVideoError, match='holds no frames'):
        transform(dict(results, total_frames=0))
