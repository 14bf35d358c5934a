import numpy as np
import pytest
import torch
from mmaction.registry import TRANSFORMS
from torchvision.transforms.v2 import functional as F

FRAME = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
OFF = dict(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)


def jitter(frames: list[np.ndarray], **arguments: object) -> list[np.ndarray]:
    return TRANSFORMS.build(dict(type='mmstan.ColorJitter', **arguments))(dict(imgs=frames))['imgs']


@pytest.mark.parametrize('seed', range(8))  # MMAction2's overflows for half of the hues
def test_all_frames_change_alike_and_stay_uint8(seed: int) -> None:
    torch.manual_seed(seed)
    first, second = jitter([FRAME.copy(), FRAME.copy()], hue=0.5)
    assert first.dtype == np.uint8
    assert first.shape == FRAME.shape
    assert first.flags.c_contiguous
    np.testing.assert_array_equal(first, second)
    assert (first != FRAME).any()


def test_samples_differ() -> None:
    assert (jitter([FRAME])[0] != jitter([FRAME])[0]).any()


@pytest.mark.parametrize(
    ('name', 'function'),
    [
        ('brightness', F.adjust_brightness),
        ('contrast', F.adjust_contrast),
        ('saturation', F.adjust_saturation),
        ('hue', F.adjust_hue),
    ],
)
def test_each_part_is_torchvisions(name: str, function: object) -> None:
    changed = jitter([FRAME], **{**OFF, name: (0.4, 0.4)})[0]
    expected = function(torch.from_numpy(FRAME).permute(2, 0, 1), 0.4).permute(1, 2, 0)
    np.testing.assert_array_equal(changed, expected.numpy())


def test_probability() -> None:
    changed = [(jitter([FRAME], prob=0.5)[0] != FRAME).any() for _ in range(40)]
    assert 5 < sum(changed) < 35
    assert jitter([FRAME], prob=0.0)[0] is FRAME
    with pytest.raises(ValueError, match=r'prob=1.5 must lie in \[0, 1\]'):
        jitter([FRAME], prob=1.5)
