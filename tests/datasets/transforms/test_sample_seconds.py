from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.videos import frame_number, numbered_frames, write_video
from mmaction.registry import TRANSFORMS
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmstan.datasets.transforms import choose_seconds

SECONDS = dict(type='mmstan.SampleSeconds', num_frames=8)


def read(filename: Path, sampler: dict[str, Any], **keys: Any) -> dict[str, Any]:
    transform = TRANSFORMS.build(dict(type='mmstan.ReadFrames', sampler=sampler))
    return transform(dict(filename=str(filename), **keys))


def stepped(total_frames: int, fps: float, last_second: int) -> list[int]:
    """CLIP4Clip's way: seek to each second in turn until no frame can be read."""
    found = []
    for second in range(min(total_frames // int(fps) + 1, last_second) + 1):
        if second * int(fps) >= total_frames:
            break
        found.append(second * int(fps))
    return found


@pytest.mark.parametrize('fps', [1.0, 8.0, 14.985, 23.976, 25.0, 29.97, 60.0])
@pytest.mark.parametrize('total_frames', [1, 24, 29, 30, 300, 1799, 2000])
@pytest.mark.parametrize('max_seconds', [None, 32])
def test_frames_are_clip4clips(fps: float, total_frames: int, max_seconds: int | None) -> None:
    expected = stepped(total_frames, fps, (max_seconds or 9999) - 1)
    assert choose_seconds(total_frames, fps, 9999, max_seconds).tolist() == expected
    if len(expected) > 12:
        expected = [expected[i] for i in np.linspace(0, len(expected) - 1, num=12, dtype=int)]
    assert choose_seconds(total_frames, fps, 12, max_seconds).tolist() == expected


def test_didemo_ends_with_second_31() -> None:
    assert choose_seconds(3000, 25.0, 64, 32).tolist() == list(range(0, 800, 25))


def test_frame_rates_below_one() -> None:
    assert choose_seconds(3, 0.5, 8).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ('num_frames', 'shown', 'real'),
    [(8, [0, 8, 16, 24, 32, 32, 32, 32], 5), (5, [0, 8, 16, 24, 32], 5), (3, [0, 16, 32], 3)],
)
def test_short_videos_repeat_their_last_frame(
    num_frames: int, shown: list[int], real: int, tmp_path: Path
) -> None:
    path = write_video(tmp_path / 'a.mp4', numbered_frames(40))  # five seconds
    results = read(path, dict(SECONDS, num_frames=num_frames))
    assert [frame_number(frame) for frame in results['imgs']] == shown
    assert results['frame_mask'].tolist() == [i < real for i in range(num_frames)]
    assert len({id(frame) for frame in results['imgs']}) == num_frames


def test_blank_videos_have_one_frame() -> None:
    results = read(Path('missing.mp4'), SECONDS, blank=True)
    assert results['frame_mask'].tolist() == [True] + [False] * 7
    assert len(results['imgs']) == 8


def test_in_a_stock_pipeline(moving_shapes: Path) -> None:
    """8 frames a second, two seconds."""
    steps = [dict(type='DecordInit'), SECONDS, dict(type='DecordDecode')]
    steps += [
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs', algorithm_keys=('captions', 'frame_mask')),
    ]
    with DefaultScope.overwrite_default_scope('mmaction'):
        pipeline = Compose([TRANSFORMS.build(step) for step in steps])
    path = moving_shapes / 'recognition/train/000000.mp4'
    packed = pipeline(dict(filename=str(path), captions=['a'], start_index=0, modality='RGB'))
    assert packed['inputs'].shape == (1, 3, 8, 64, 64)
    assert packed['data_samples'].frame_mask.tolist() == [True] * 2 + [False] * 6
    assert packed['data_samples'].captions == ['a']


@pytest.mark.parametrize('argument', ['num_frames', 'max_seconds'])
def test_sampler_refuses_nothing(argument: str) -> None:
    with pytest.raises(ValueError, match=f'{argument}=0 must be at least 1'):
        TRANSFORMS.build(dict(SECONDS, **{argument: 0}))
