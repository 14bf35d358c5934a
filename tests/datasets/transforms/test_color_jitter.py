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
    for strength in (0.37, -0.31) if name == 'hue' else (0.37, 1.31):
        changed = jitter([FRAME], **{**OFF, name: (strength, strength)})[0]
        expected = function(torch.from_numpy(FRAME).permute(2, 0, 1), strength).permute(1, 2, 0)
        difference = np.abs(changed.astype(int) - expected.numpy())
        assert difference.max() <= (name in ('hue', 'saturation'))
        assert (difference > 0).mean() < 0.01


def test_all_parts_in_any_order_are_torchvisions() -> None:
    """The same draws; levels differ by one, before later parts spread them, and seldom."""
    clip = np.random.default_rng(1).integers(0, 256, (4, 32, 40, 3), np.uint8)
    clip[1] //= 8  # dark
    clip[2] = clip[2][..., :1]  # grey
    build = dict(type='mmstan.ColorJitter', brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)
    transform = TRANSFORMS.build(build)
    differences = []
    for seed in range(30):
        torch.manual_seed(seed)
        changed = np.stack(transform(dict(imgs=list(clip)))['imgs']).astype(int)
        torch.manual_seed(seed)
        torch.rand(())  # of the probability
        right = transform.jitter(torch.from_numpy(clip).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        differences.append(np.abs(changed - right.numpy()))
    assert (np.stack(differences) > 0).mean() < 1e-3
    assert (np.stack(differences) > 2).mean() < 1e-5
    assert np.stack(differences).max() <= 3


def test_probability() -> None:
    changed = [(jitter([FRAME], prob=0.5)[0] != FRAME).any() for _ in range(40)]
    assert 5 < sum(changed) < 35
    assert jitter([FRAME], prob=0.0)[0] is FRAME
    with pytest.raises(ValueError, match=r'prob=1.5 must lie in \[0, 1\]'):
        jitter([FRAME], prob=1.5)
