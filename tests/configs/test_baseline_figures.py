"""What the compared systems add to CLIP: parameters exactly, multiply-adds within a percent."""

from typing import Any

import pytest
import torch
from helpers.scripts import PROJECT
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmstan.benchmark.measure import count_multiply_adds, count_parameters
from mmstan.methods.clip4clip import TightTransformer
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.towers import BaseImageTower, TextTower
from mmstan.registry import MODELS

SEQ_TRANSFORMER = 12_648_960
K400_CLASSIFIER, SSV2_CLASSIFIER = 400 * 769, 174 * 769  # learned beside a frozen tower
TIMES = 64 * 768  # STAN's time table; L/14's is wider
# configs/..., parameters outside CLIP's towers and the scale
EXTRA = [
    ('baselines/clip_mean/k400_b16', 0),
    ('baselines/clip_mean/msrvtt_b32', 0),
    ('baselines/seq_transformer/k400_b16', SEQ_TRANSFORMER),
    ('baselines/seq_transformer/msrvtt_b32', SEQ_TRANSFORMER),
    # Released files have a table of 77 positions more, which nothing reads.
    ('baselines/seq_lstm/msrvtt_b32', 2_140_672 - 77 * 512),
    ('baselines/tight_transformer/msrvtt_b32', 12_913_153),
    ('baselines/temporal_difference/msrvtt_b32', 15_803_392),
    ('baselines/message_token/k400_b16', 12 * 2_954_496),
    ('baselines/message_token/msrvtt_b32', 12 * 2_954_496),
    ('baselines/st_adapter/k400_b16', 7_110_144 + K400_CLASSIFIER),
    ('baselines/st_adapter/msrvtt_b32', 7_110_144),
    ('baselines/st_adapter/ssv2_b16', 14_220_288 + SSV2_CLASSIFIER),
    ('baselines/evl/k400_b16', 32_875_776 + K400_CLASSIFIER),
    ('baselines/joint_space_time/k400_b16', 8 * 768),
    ('baselines/joint_space_time/msrvtt_b32', 12 * 768),
    ('baselines/wti/msrvtt_b32_layers_1', SEQ_TRANSFORMER + 1_026),
    ('baselines/wti/msrvtt_b32', SEQ_TRANSFORMER + 526_338),
    ('baselines/wti/msrvtt_b32_layers_3', SEQ_TRANSFORMER + 1_051_650),
    ('stan/k400_b16', 40_169_472 + TIMES),
    ('stan/msrvtt_b32', 40_169_472 + TIMES),
    ('stan/k400_l14', 71_385_088 + 64 * 1024),
    ('stan/k400_b16_dense_conv', 66_066_432 + 28_351_488 + TIMES),
    ('stan/k400_b16_conv', 704_256 + 28_351_488 + TIMES),
]
# configs/baselines/..., frames, GMACs of the video side, by both conventions; None: not printed
MULTIPLY_ADDS = [
    ('clip_mean/msrvtt_b32', 8, 34.90, 35.27),
    ('clip_mean/msrvtt_b32', 12, 52.35, 52.91),
    ('clip_mean/msrvtt_b32', 64, 279.2, 282.2),
    ('clip_mean/k400_b16', 8, 134.79, 140.51),
    ('clip_mean/k400_b16', 12, 202.18, 210.76),
    ('clip_mean/k400_b16', 16, 269.57, 281.02),
    ('message_token/msrvtt_b32', 8, None, 35.8),
    ('message_token/k400_b16', 8, None, 141.1),
    ('message_token/k400_b16', 16, None, 282.1),
]


def load(name: str) -> Config:
    """A shipped config, with two names where it has classes' names."""
    cfg = Config.fromfile(PROJECT / f'configs/{name}.py')
    init_default_scope(cfg.default_scope)
    if 'class_names' in cfg.model.get('cls_head', {}):
        cfg.model.cls_head.class_names = ['one', 'two']
    return cfg


def on_meta(cfg: dict[str, Any]) -> Any:
    """A model or a part of one, without memory."""
    with torch.device('meta'):
        return MODELS.build({k: v for k, v in cfg.items() if k != 'data_preprocessor'})


def extra_parameters(model: nn.Module) -> int:
    towers = [part for part in model.modules() if isinstance(part, (BaseImageTower, TextTower))]
    scales = [p for name, p in model.named_parameters() if name.endswith('logit_scale')]
    return count_parameters(model)[0] - count_parameters(*towers)[0] - len(scales)


@pytest.mark.parametrize(('name', 'parameters'), EXTRA, ids=[row[0] for row in EXTRA])
def test_parameters_beyond_clip(name: str, parameters: int) -> None:
    assert extra_parameters(on_meta(load(name).model)) == parameters


def test_message_tokens_of_the_large_model() -> None:
    cfg = load('baselines/message_token/k400_b16')
    cfg.model.backbone.tower.model = 'ViT-L-14'
    assert extra_parameters(on_meta(cfg.model)) == 24 * 5_250_048


@pytest.mark.parametrize(
    ('name', 'cross_frame'),
    [
        ('stan/k400_b16', 4 * 2_954_496),
        ('stan/k400_b16_dense_conv', 66_066_432),
        ('stan/k400_b16_conv', 704_256),
    ],
)
def test_parts_of_stan(name: str, cross_frame: int) -> None:
    parts = [0, 0, 0]
    for key, parameter in on_meta(load(name).model.backbone).named_parameters():
        if not key.startswith('tower.'):
            parts[('cross_frame.' in key) + 2 * ('.block.' in key)] += parameter.numel()
    assert parts == [TIMES, cross_frame, 28_351_488]


@pytest.mark.parametrize(
    ('model', 'visual', 'text'),
    [
        ('ViT-B-32', 87.849, 63.428),
        ('ViT-B-16', 86.193, 63.428),
        ('ViT-L-14', 303.966, 123.650),
    ],
)
def test_towers(model: str, visual: float, text: float) -> None:
    for kind, millions in (('Image', visual), ('Text', text)):
        tower = on_meta(dict(type=f'mmstan.{kind}Tower', model=model))
        assert count_parameters(tower)[0] / 1e6 == pytest.approx(millions, abs=0.0006)


@pytest.mark.parametrize(('name', 'frames', 'linear', 'total'), MULTIPLY_ADDS)
def test_multiply_adds(name: str, frames: int, linear: float | None, total: float) -> None:
    backbone = on_meta(load(f'baselines/{name}').model.backbone)
    clip = torch.empty(1, 3, frames, 224, 224, device='meta')
    counted = count_multiply_adds(backbone.tokens, clip)  # nothing is left out
    assert counted.total / 1e9 == pytest.approx(total, rel=0.01)
    assert linear is None or counted.linear / 1e9 == pytest.approx(linear, rel=0.01)


def test_a_pair_in_the_tight_transformer_costs_as_much_as_a_sequence_transformer() -> None:
    """0.15 G of linear layers for 12 frames; a pair has one token more, the text's."""
    interaction = TightTransformer(512, heads=8)
    sentence, frames = torch.zeros(2, 512), torch.zeros(3, 12, 512)
    text = TextFeatures(sentence[:, None], sentence, torch.ones(2, 1, dtype=torch.bool))
    video = VideoFeatures(frames, torch.ones(3, 12, dtype=torch.bool))
    counted = count_multiply_adds(interaction, text, video).linear / 1e9
    assert counted / (2 * 3) == pytest.approx(0.151 * 13 / 12, rel=0.01)
