"""X-CLIP's numbers on weights that follow from the released key names.

They were computed with the released code, step by step, so that everyone can check what the golden
cases check.
"""

import math
from collections.abc import Iterator

import pytest
import torch
from helpers.formula_weights import formula_input, formula_state, hashed
from torch import Tensor, nn

from mmstan.methods.xclip import XCLIP, MultiFrameIntegration, VideoPrompting
from mmstan.methods.xclip import checkpoints as converter
from mmstan.models import TextTower

MODEL = dict(
    embed_dim=128,
    quick_gelu=True,
    vision_cfg=dict(image_size=32, patch_size=16, width=192, layers=2),
    text_cfg=dict(context_length=77, vocab_size=64, width=64, heads=1, layers=2),
)
TEXTS = [[62, 5, 9, 63], [62, 7, 63], [62, 11, 12, 13, 63]]
LOGITS = [
    [-1.101692795753479, -0.2005479782819748, 0.42915260791778564],
    [-1.3144124746322632, -0.3874829113483429, 0.30826374888420105],
]
# Step -> mean, standard deviation and the first three numbers, in the released code's layout.
STEPS = {
    'after ln_pre': (0.002846, 1.007049, (-0.221968, -0.447171, 1.749755)),
    'block 0 message_fc': (0.015807, 1.016371, (0.464652, 0.011101, 1.540999)),
    'block 0 message_attn': (0.038934, 0.974955, (2.105547, 1.181178, -0.272678)),
    'block 0': (0.060946, 1.334189, (0.214981, 0.806962, 3.105964)),
    'block 1 message_fc': (-0.019262, 1.402186, (0.277237, -2.016343, -1.443397)),
    'block 1 message_attn': (0.031248, 0.909510, (0.164462, -1.128185, 1.308936)),
    'block 1': (-0.033076, 1.582891, (0.707340, 1.611243, 5.056670)),
    'integration blocks': (0.025430, 1.822947, (1.205238, -0.177904, 2.391939)),
    'video feature': (0.074194, 2.774110, (1.126827, -2.365213, 4.450532)),
    'patch features': (-0.020032, 1.217626, (1.277264, 1.689126, -0.137081)),
    'text features': (0.012284, 0.714535, (-0.905909, 0.008188, -0.456069)),
    'prompt layer 0': (-0.132704, 1.225046, (-1.863196, 1.620023, -0.433027)),
    'prompt layer 1': (0.003819, 1.578920, (-1.140006, 0.699524, -0.410321)),
}


def build() -> tuple[nn.ModuleDict, Tensor]:
    """The parts of a model with the formula's weights, and the logit scale."""
    tower = dict(type='mmstan.ImageTower', model=MODEL)
    parts = nn.ModuleDict(
        dict(
            backbone=XCLIP(tower),
            neck=MultiFrameIntegration(128, num_frames=4, heads=2),
            text_tower=TextTower(MODEL),
            prompting=VideoPrompting(128, heads=2),
        )
    )
    ours = {
        k.replace('prompting.', 'cls_head.prompting.'): v for k, v in parts.state_dict().items()
    }
    ours['cls_head.logit_scale'] = torch.zeros(())
    theirs = converter.to_released(ours, text_tower='text_tower.')
    state = formula_state({name: tuple(x.shape) for name, x in theirs.items()})
    alpha = 'prompts_generator.alpha'
    state[alpha] = torch.from_numpy(hashed(alpha, (128,))).float()
    state['logit_scale'] = torch.tensor(math.log(1 / 0.07))
    ours = converter.from_released({'model': state}, text_tower='text_tower.')
    scale = ours.pop('cls_head.logit_scale').exp()
    parts.load_state_dict({k.removeprefix('cls_head.'): v for k, v in ours.items()})
    return parts.eval(), scale


@pytest.fixture(scope='module')
def results() -> Iterator[dict[str, Tensor]]:
    """Every step, by hooks where the model does not give it."""
    with torch.no_grad():
        parts, scale = build()
        backbone, seen = parts['backbone'], {}

        def watch(name: str, module: nn.Module) -> None:
            module.register_forward_hook(lambda _, args, out: seen.update({name: out}))

        watch('after ln_pre', backbone.tower.visual.ln_pre)
        for i, message in enumerate(backbone.messages):
            watch(f'block {i} message_fc', message.fc)
            watch(f'block {i} message', message)
        for i, layer in enumerate(parts['prompting'].layers):
            watch(f'prompt layer {i}', layer)
        watch('integration blocks', parts['neck'].blocks[-1])
        backbone.tower.blocks[1].ln_1.register_forward_pre_hook(
            lambda _, args: seen.update({'block 0': args[0][:, :-1]})  # without block 1's message
        )
        clip = formula_input(2, 4, 3, 32, 32).transpose(1, 2)
        (video, context), _ = parts['neck'](backbone(clip))
        tokens = backbone.tokens(clip)  # (N, T, 1 + L, C)
        ids = torch.zeros(3, 77, dtype=torch.long)
        for row, text in zip(ids, TEXTS):
            row[: len(text)] = torch.tensor(text)
        texts = parts['text_tower'](ids).sentence
        logits = scale * parts['prompting'](texts, video, context)
        patches = backbone.context.proj(backbone.context.norm(tokens[:, :, 1:]))
    for i in range(2):
        update = seen.pop(f'block {i} message') - seen[f'block {i} message_fc']
        seen[f'block {i} message_attn'] = update.transpose(0, 1)
    seen['block 0'] = seen['block 0'].transpose(0, 1)
    seen['block 1'] = tokens.flatten(0, 1).transpose(0, 1)
    seen['integration blocks'] = seen['integration blocks'].transpose(0, 1)
    seen |= {'video feature': video, 'text features': texts, 'patch features': patches}
    yield seen | {'logits': logits, 'context': context}


@pytest.mark.parametrize('step', STEPS)
def test_step(step: str, results: dict[str, Tensor]) -> None:
    mean, std, first = STEPS[step]
    assert results[step].mean().item() == pytest.approx(mean, abs=1e-5)
    assert results[step].std().item() == pytest.approx(std, abs=1e-5)
    assert results[step].flatten()[:3].tolist() == pytest.approx(first, abs=1e-5)


def test_logits(results: dict[str, Tensor]) -> None:
    torch.testing.assert_close(results['logits'], torch.tensor(LOGITS), atol=1e-5, rtol=0)
    mean = results['patch features'].mean(dim=1)
    torch.testing.assert_close(results['context'], mean, atol=1e-5, rtol=0)
