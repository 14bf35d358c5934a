"""DiST's numbers, step by step, on weights that follow from the released key names.

They are the released code's, so everyone can check what its golden case checks.
"""

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.formula_weights import formula_input, formula_state
from parity.systems import dist as system
from torch import Tensor

from mmstan.methods.dist import DiST
from mmstan.methods.dist import checkpoints as converter
from mmstan.models import TextTower

META: dict[str, Any] = dict(
    vision=dict(width=128, heads=2, layers=3, patch_size=16, image_size=32),
    text=dict(width=64, heads=1, layers=2, vocab=64, context_length=77),
    projection_dim=32,
    integration_width=128,
    temporal_width=24,
    pooling_layers=2,
    sparse_frames=4,
    gamma=2,
    classes=3,
)
# mean, standard deviation, first three values
STEPS = """
text -> 0.225801 1.317399 0.586136 0.536496 2.146323
stem -> -0.035817 1.026954 0.452115 -0.590226 0.682916
temporal 0 -> 0.320062 0.657171 0.343284 -0.111323 0.730150
m 0 -> -0.018538 1.342186 -2.148678 -0.369861 -0.207222
to_temporal 0 -> 0.169260 1.365360 -0.012121 -1.062278 -0.655663
to_integration 0 -> -0.041206 0.660573 -0.111767 -0.238757 -0.302294
y 0 -> 0.009953 0.885620 0.026484 0.039361 -1.676607
temporal 1 -> 0.823020 1.108746 -0.035911 -0.112169 -0.083019
m 1 -> 0.047341 1.822753 0.096144 0.066574 0.235555
to_temporal 1 -> -0.172967 1.855782 -0.613299 0.763699 2.959095
to_integration 1 -> -0.028152 1.246601 -0.146722 -0.426415 0.176669
y 1 -> -0.011912 0.923355 -0.779411 1.482915 -0.678058
temporal 2 -> 1.150712 1.569517 -0.160555 0.343359 2.676398
m 2 -> -0.169916 2.109163 -0.913912 5.509470 -1.521292
to_temporal 2 -> -0.464561 2.105715 -0.557276 2.384896 2.106156
to_integration 2 -> -0.017903 1.821877 -0.339176 0.230241 -0.403628
y 2 -> -0.018896 0.906918 0.569362 -0.543317 0.296314
pooled tokens -> -0.206715 2.949995 -0.683726 5.196393 -1.628606
clip token 0 -> 0.193801 1.100025 1.200198 -0.434156 -0.198405
frame tokens 0 -> -0.093746 1.095732 -0.583856 0.817532 0.332331
clip token 1 -> 0.245704 1.579791 0.416431 0.195700 -1.124685
frame tokens 1 -> -0.064303 1.447434 -0.341680 -0.147606 0.247734
frames -> -0.142730 1.961487 -3.689597 -2.074072 0.617280
video -> 0.014839 0.177545 0.099348 0.246379 0.256071
"""
LOGITS = {
    0.0: [
        [4.353827953338623, 4.875757217407227, 5.126747131347656],
        [4.581120491027832, 5.205178260803223, 5.280736923217773],
    ],
    0.5: [
        [1.9046491384506226, 3.0952377319335938, 2.2309553623199463],
        [2.3201963901519775, 3.496189594268799, 3.0793871879577637],
    ],
}
"""Frames' share of the scores -> logits."""


@pytest.fixture(scope='module')
def state() -> dict[str, Tensor]:
    """The released names and shapes, with weights by formula."""
    backbone = DiST(
        dict(type='mmstan.ImageTower', model=system.sizes(META), frozen=True),
        gamma=2,
        num_frames=4,
        width=128,
        temporal_width=24,
    )
    ours = {f'backbone.{k}': v for k, v in backbone.state_dict().items()}
    text = TextTower(system.sizes(META)).state_dict()
    ours |= {f'text_tower.{k}': v for k, v in text.items()}
    released = converter.to_released(ours, text_tower='text_tower.', prefix='')
    return formula_state({k: tuple(v.shape) for k, v in released.items()})


def token_ids() -> Tensor:
    ids = torch.zeros(3, 77, dtype=torch.long)
    for row, tokens in zip(ids, ([62, 5, 9, 63], [62, 7, 63], [62, 11, 12, 13, 63])):
        row[: len(tokens)] = torch.tensor(tokens)
    return ids


def steps(backbone: DiST, video: Tensor) -> dict[str, Tensor]:
    """What goes through the branch, by the names above."""
    seen: dict[str, Tensor] = {}
    grid, branch = (2, 2), backbone.branch

    def record(name: str, module: torch.nn.Module) -> None:
        module.register_forward_hook(lambda _, __, out: seen.__setitem__(name, out))

    record('stem', branch.stem)
    for i, layer in enumerate(branch.layers):
        record(f'temporal {i}', layer.temporal_block)
        record(f'to_integration {i}', layer.to_integration)
        record(f'y {i}', layer.integration_block)
        layer.integration_block.register_forward_pre_hook(
            lambda _, args, i=i: seen.__setitem__(f'm {i}', args[0] - seen[f'to_integration {i}'])
        )
    for j, block in enumerate(branch.pooling.blocks):
        record(f'pooling {j}', block)
    seen['pooled tokens'] = backbone.tokens(video)
    video_feature, frames = backbone(video)
    for i, layer in enumerate(branch.layers):
        seen[f'to_temporal {i}'] = layer.to_temporal(seen[f'm {i}'], grid)
    for j in range(len(branch.pooling.blocks)):
        seen[f'clip token {j}'], seen[f'frame tokens {j}'] = seen.pop(f'pooling {j}')
    return seen | dict(frames=frames, video=F.normalize(video_feature, dim=-1))


def test_every_step_and_the_logits(state: dict[str, Tensor]) -> None:
    backbone, text_tower = system.build(META, state)
    with torch.no_grad():
        ours = steps(backbone, formula_input(2, 3, 8, 32, 32))
        ours['text'] = text_tower(token_ids()).sentence
        for line in STEPS.strip().splitlines():
            name, numbers = re.split(' -> ', line)
            expected, x = [float(number) for number in numbers.split()], ours[name]
            found = [x.mean().item(), x.std().item(), *x.flatten()[:3].tolist()]
            assert found == pytest.approx(expected, abs=2e-5), name
        scale = state['logit_scale'].exp()
        for weight, logits in LOGITS.items():
            head = system.fused_head(META, ours['text'], scale, weight)
            found = head((ours['video'], ours['frames']))
            torch.testing.assert_close(found, torch.tensor(logits), atol=2e-5, rtol=0)
