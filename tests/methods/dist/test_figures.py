"""Parameters and multiply-adds of DiST, as the paper prints them and its release measures them."""

from typing import Any

import pytest
import torch

from mmstan.benchmark.measure import count_multiply_adds, count_parameters
from mmstan.methods.dist import DiST

B16, L14 = 'ViT-B-16-quickgelu', 'ViT-L-14-quickgelu'
# tower, T, options -> parameters, millions of them as printed; multiply-adds in 10^9
TABLE: list[tuple[str, int, dict[str, Any], int, float | None, float]] = [
    (B16, 8, dict(gamma=2), 105_193_824, 105.19, 163.07),
    (B16, 8, dict(gamma=2, pooling_layers=4), 112_297_824, 112.30, 164.04),
    (B16, 8, dict(gamma=1), 104_751_456, 104.75, 158.77),
    (B16, 8, dict(gamma=4), 106_078_560, 106.08, 171.65),
    (B16, 8, dict(gamma=8), 107_848_032, 107.85, 188.82),
    (B16, 16, dict(gamma=2), 105_236_832, 105.24, 326.13),
    (B16, 32, dict(gamma=2), 105_322_848, 105.32, 652.25),
    (L14, 8, dict(gamma=2), 336_471_904, 336.47, 707.70),
    (L14, 8, dict(gamma=2, pooling_layers=4), 343_575_904, 343.58, 708.96),
    # Ablations, of which the paper prints multiply-adds alone
    (B16, 8, dict(temporal_block='tadaconv'), 105_139_392, None, 162.0),
    (B16, 8, dict(temporal_block='c3d'), 106_851_552, None, 168.2),
    (B16, 8, dict(temporal_block='joint'), 103_977_024, None, 165.0),
    (B16, 8, dict(width=96), 90_000_384, None, 149.4),
    (B16, 8, dict(width=768), 146_160_096, None, 196.1),
    (B16, 8, dict(temporal_width=192), 110_876_736, None, 178.7),
]


@pytest.mark.parametrize(('model', 'frames', 'options', 'parameters', 'millions', 'macs'), TABLE)
def test_table(
    model: str,
    frames: int,
    options: dict[str, Any],
    parameters: int,
    millions: float | None,
    macs: float,
) -> None:
    with torch.device('meta'):
        tower = dict(type='mmstan.ImageTower', model=model, frozen=True)
        dist = DiST(tower, num_frames=frames, **options).eval()
        clip = torch.empty(1, 3, dist.gamma * frames, 224, 224)
    every, trained = count_parameters(dist)
    assert every == parameters
    assert millions is None or round(every / 1e6, 2) == millions
    frozen, _ = count_parameters(dist.tower, dist.branch.layers[-1].to_temporal)
    assert trained == every - frozen
    found = count_multiply_adds(dist, clip).total / 1e9
    # The release puts the frames that it drops through the patch convolution.
    c, (ph, pw) = dist.tower.width, dist.tower.patch_size
    dropped = (dist.gamma - 1) * frames * 224 * 224 // (ph * pw) * c * 3 * ph * pw / 1e9
    assert found + dropped == pytest.approx(macs, rel=0.003)
    assert dist.gamma > 2 or found == pytest.approx(macs, rel=0.01)
