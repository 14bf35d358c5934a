"""Frames around a key frame: the key frame stays, the others spread over the span."""

from typing import Any

import numpy as np
import pytest

from mmstan.datasets.transforms import ResizeToGrid, SampleKeyframe, choose_around, fit_to_grid


def key_frame(**changes: Any) -> dict[str, Any]:
    return dict(total_frames=27030, avg_fps=30.0, timestamp=1000, timestamp_start=900) | changes


def test_eight_frames_of_ten_seconds() -> None:
    results = SampleKeyframe(test_mode=True)(key_frame())
    # 300 frames in 8 steps of 37.5 around frame 3000.
    expected = [2850, 2888, 2925, 2963, 3000, 3038, 3075, 3113]
    assert results['frame_inds'].tolist() == expected
    assert (results['clip_len'], results['num_clips']) == (8, 1)


def test_frames_are_counted_by_the_files_own_rate() -> None:
    results = SampleKeyframe(4, seconds=4.0, test_mode=True)(key_frame(avg_fps=24.0))
    assert results['frame_inds'].tolist() == [2352, 2376, 2400, 2424]


def test_an_odd_number_is_symmetric() -> None:
    sampler = SampleKeyframe(7, seconds=1.75, test_mode=True)
    results = sampler(dict(total_frames=48, avg_fps=8, timestamp=3))
    assert results['frame_inds'].tolist() == [18, 20, 22, 24, 26, 28, 30]


@pytest.mark.parametrize(
    ('second', 'expected'), [(900, [0, 0, 0, 30]), (1801, 27029), (1801.9, 27029)]
)
def test_edge_frames_repeat(second: int, expected: Any) -> None:
    frames = SampleKeyframe(4, seconds=4.0, test_mode=True)(key_frame(timestamp=second))
    found = frames['frame_inds'].tolist()
    if second == 900:
        assert found == expected
    else:  # the end itself is the last frame, and so is a rounded one
        assert found[2:] == [expected, expected]


def test_training_moves_all_but_the_key_frame() -> None:
    sampler = SampleKeyframe(8, seconds=10.0)
    still = SampleKeyframe(8, seconds=10.0, test_mode=True)(key_frame())['frame_inds']
    moved = np.stack([sampler(key_frame())['frame_inds'] for _ in range(200)]) - still
    assert not moved[:, 4].any()
    others = np.delete(moved, 4, axis=1)
    assert others.min(0).max() < -14 and others.max(0).min() > 14  # either way, by up to 18.75
    assert np.abs(others).max() <= 19


@pytest.mark.parametrize('second', [899, 1802])
def test_a_time_outside_the_video(second: int) -> None:
    with pytest.raises(ValueError, match=f'^second {second} is not in v.mp4, which shows seconds'):
        SampleKeyframe()(key_frame(timestamp=second, filename='v.mp4'))


@pytest.mark.parametrize('arguments', [dict(num_frames=0), dict(seconds=0)])
def test_wrong_arguments(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='must be'):
        SampleKeyframe(**arguments)


def test_offsets_are_distances() -> None:
    frames = choose_around(50, 100, span=40, offsets=np.array([0.5, 0, 0, -0.5]))
    assert frames.tolist() == [35, 40, 50, 55]


@pytest.mark.parametrize(
    ('size', 'expected'),
    [
        ((256, 454), (256, 448)),
        ((270, 480), (256, 448)),
        ((480, 270), (448, 256)),
        ((300, 300), (256, 256)),
        ((100, 102), (256, 256)),
        ((1080, 1920), (256, 448)),
    ],
)
def test_sides_are_multiples_of_the_patch(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_to_grid(*size, short=256, patch=16) == expected


def test_boxes_are_resized_with_the_frame() -> None:
    results = dict(
        imgs=[np.zeros((24, 40, 3), np.uint8)],
        img_shape=(24, 40),
        gt_bboxes=np.array([[4.0, 6, 20, 24]]),
        proposals=np.zeros((0, 4)),
    )
    results = ResizeToGrid(short=48, patch=16)(results)
    assert results['imgs'][0].shape == (48, 80, 3) and results['img_shape'] == (48, 80)
    np.testing.assert_allclose(results['gt_bboxes'], [[8, 12, 40, 48]])


@pytest.mark.parametrize(('short', 'patch'), [(250, 16), (8, 16), (16, 0)])
def test_a_short_side_that_is_no_multiple(short: int, patch: int) -> None:
    with pytest.raises(ValueError, match=f'short={short} must be a multiple of patch={patch}'):
        ResizeToGrid(short, patch)
