"""STAN's numbers on weights that follow from the released key names.

They were computed by mmstan when it equalled the released code on the golden cases (1e-5), so that
everyone can check what those cases check.
"""

import pytest
import torch
from helpers.formula_weights import formula_input, formula_state

from mmstan.methods.stan import STAN
from mmstan.methods.stan import checkpoints as converter

TOWER = dict(
    type='mmstan.ImageTower',
    model=dict(
        embed_dim=48,
        quick_gelu=True,
        vision_cfg=dict(image_size=32, patch_size=16, width=64, layers=4, head_width=32),
    ),
)


@pytest.mark.parametrize(
    ('frames', 'mean', 'std', 'first'),
    [
        (1, 0.0203765, 0.9041392, (-1.0650182, -0.5817368, -0.7147334)),
        (4, 0.0970725, 0.8899408, (-0.7478212, 0.6516728, 0.2445399)),
    ],
)
def test_frame_features(
    frames: int, mean: float, std: float, first: tuple[float, float, float]
) -> None:
    stan = STAN(TOWER, levels=(2, 3, 4)).eval()
    ours = {f'backbone.{name}': tensor for name, tensor in stan.state_dict().items()}
    released = formula_state({k: tuple(v.shape) for k, v in converter.to_released(ours).items()})
    state = converter.from_released(released)
    stan.load_state_dict({k.removeprefix('backbone.'): v for k, v in state.items()})
    with torch.no_grad():
        features = stan(formula_input(2, 3, frames, 32, 32))
    assert features.shape == (2, frames, 48)
    assert features.mean().item() == pytest.approx(mean, abs=1e-5)
    assert features.std().item() == pytest.approx(std, abs=1e-5)
    assert features.flatten()[:3].tolist() == pytest.approx(first, abs=1e-5)
