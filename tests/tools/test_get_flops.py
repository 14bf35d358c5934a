"""The figures of STAN's table, and those that the papers print."""

import functools
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers.scripts import script
from helpers.tiny_runs import stock_config
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.benchmark.cost import Settings
from mmstan.benchmark.flops import format_flops
from mmstan.benchmark.jobs import read_system
from mmstan.benchmark.view import find_view_size

PROJECT = Path(__file__).parents[2]
# configs/..., frames of one view -> GMACs of everything, of linear and convolution layers only,
# millions of parameters of the video side. None: the table does not say.
TABLE = [
    ('baselines/clip_mean/k400_b16', 8, 140.5, 134.8, 86.2),
    ('baselines/clip_mean/k400_b32', 12, 52.9, None, 87.8),
    ('stan/k400_b16', 8, 205.5, 197.9, 126.4),
    ('stan/k400_b16', 16, 411.1, 395.8, 126.4),
    ('stan/ssv2_b16', 8, 238.0, 229.5, 146.5),  # six layers
    ('stan/k400_b32', 12, 76.8, None, 128.1),
    ('stan/k400_b16_conv', 8, None, 180.5, None),
    ('stan/k400_b16_dense_conv', 8, None, 283.0, None),
]


@pytest.fixture(scope='module')
def get_flops() -> ModuleType:
    return script('get_flops')


@functools.cache
def count(name: str, frames: int) -> str:
    """The text for a config with two classes, 224 px."""
    cfg = Config.fromfile(PROJECT / f'configs/{name}.py')
    init_default_scope(cfg.default_scope)
    if 'cls_head' in cfg.model:
        cfg.model.cls_head.class_names = ['one', 'two']
    return format_flops(cfg, frames, 224)


def figures(text: str, name: str) -> list[float]:
    """The numbers in the line that begins with ``name``."""
    line = next(
        line for line in text.splitlines() if re.match(rf'{re.escape(name)}(:| {{2,}})', line)
    )
    return [float(number) for number in re.findall(r'\d+\.\d+', line)]


@pytest.mark.parametrize(('name', 'frames', 'macs', 'linear', 'parameters'), TABLE)
def test_table(
    name: str,
    frames: int,
    macs: float | None,
    linear: float | None,
    parameters: float | None,
) -> None:
    text = count(name, frames)
    nominal, executed = figures(text, 'GMACs')
    assert macs is None or nominal == pytest.approx(macs, rel=0.005)
    nominal_linear, executed_linear = figures(text, 'GMACs, linear + conv')
    assert linear is None or nominal_linear == pytest.approx(linear, rel=0.005)
    assert nominal_linear < nominal and executed_linear < executed < nominal
    every, trainable = figures(text, 'video side')
    assert parameters is None or every == pytest.approx(parameters, rel=0.005)
    assert every == trainable
    assert figures(text, 'text side')[1] == 0  # frozen
    assert '77 tokens' in text


@pytest.mark.parametrize(
    ('name', 'frames', 'macs', 'parameters', 'trainable'),
    [
        ('dist/ssv2_b16_8f', 16, 163.07, 105.19, 18.96),
        ('dist/k400_b16_8f', 16, 164.04, 112.30, 26.07),
        ('dist/k400_l14_8f', 16, 708.96, 343.58, 39.57),
    ],
)
def test_dist(
    name: str,
    frames: int,
    macs: float,
    parameters: float,
    trainable: float,
) -> None:
    """The frames are the temporal encoder's. Every token that is computed is read."""
    text = count(name, frames)
    nominal, executed = figures(text, 'GMACs')
    assert nominal == executed == pytest.approx(macs, rel=0.01)
    assert figures(text, 'video side') == [parameters, trainable]


def test_rows_that_nobody_reads_are_not_executed() -> None:
    """Of STAN's last layer the MLP, query and output projection on patches: 4.5 % of all."""
    text = count('stan/k400_b16', 8)
    nominal, executed = figures(text, 'GMACs')
    patches, c = 8 * 196, 768
    assert nominal - executed >= patches * (8 + 2) * c * c / 1e9
    assert 1 - executed / nominal == pytest.approx(0.045, abs=0.005)


def test_patches_of_a_last_block_that_no_branch_reads() -> None:
    """The last tower block's are left out as well, which the branch reads in the default."""
    saved = []
    for name in ('stan/k400_b16', 'stan/ablations/k400_b16_levels_1_4'):
        nominal, executed = figures(count(name, 8), 'GMACs')
        saved.append(nominal - executed)
    assert saved[1] == pytest.approx(2 * saved[0], rel=0.01)


@pytest.mark.parametrize(
    ('name', 'tokens', 'text_macs'),
    [
        ('stan/msrvtt_b32', 32, 1.23),
        ('stan/didemo_b32', 77, 3.00),
        ('stan/msrvtt_coca_b32', 76, 3.00),  # CoCa has one length, and a class token behind it
    ],
)
def test_captions_have_the_length_of_the_config(name: str, tokens: int, text_macs: float) -> None:
    text = count(name, 12)
    assert figures(text, f'a text of {tokens} tokens') == [text_macs]


def test_poolers_that_read_every_token_leave_nothing_out() -> None:
    """CoCa's; its pooling is counted, on top of CLIP's towers of the same sizes."""
    coca, clip = (
        figures(count(name, 12), 'GMACs') for name in ('stan/msrvtt_coca_b32', 'stan/msrvtt_b32')
    )
    assert coca[0] == coca[1] > clip[0] > clip[1]
    patches, c, d, queries = 12 * 49, 768, 512, 12 * 256  # nn.MultiheadAttention on the patches
    pooling = 2 * (patches + 12) * c * d + 2 * queries * d * d + 2 * queries * 50 * d
    assert coca[0] - clip[0] == pytest.approx(pooling / 1e9, abs=0.02)


def test_interactions_that_read_patches() -> None:
    """Every token runs through the last layer and into the joint space."""
    tokens, frames = (
        figures(count(name, 12), 'GMACs')
        for name in ('mug_stan/ablations/msrvtt_b32_token_token', 'mug_stan/msrvtt_b32')
    )
    assert tokens[0] == tokens[1]
    projected = 12 * 50 * 768 * 512 / 1e9
    assert tokens[1] - frames[0] == pytest.approx(projected, abs=0.011)


def test_frozen_by_rules() -> None:
    """CLIP4Clip trains what is behind the embeddings: 123.5 M of both sides."""
    text = count('baselines/clip_mean/msrvtt_b32', 12)
    trainable = [figures(text, side)[1] for side in ('video side', 'text side')]
    assert sum(trainable) == pytest.approx(123.5, abs=0.05)


def test_models_without_texts(tmp_path: Path) -> None:
    """One of MMAction2's own, with two classes."""
    init_default_scope('mmaction')
    text = format_flops(stock_config(tmp_path), 16, 224)
    nominal, executed = figures(text, 'GMACs')
    assert nominal == executed > 0.05
    assert 'text' not in text
    assert '2 classes' in text


def test_class_names_that_are_not_here(
    get_flops: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = str(PROJECT / 'configs/mug_stan/k400_b16.py')
    monkeypatch.chdir(PROJECT / 'tests')  # no data/ below it
    for options, classes in (([], 400), (['--classes', '7'], 7)):
        monkeypatch.setattr(sys, 'argv', ['get_flops.py', path, *options])
        get_flops.main()
        out = capsys.readouterr().out
        assert f'label_map_k400.txt is not here: {classes} other names in its place' in out
        assert f'8 frames of 224 x 224, {classes} classes' in out


@pytest.mark.parametrize(
    ('name', 'frames'),
    [
        ('stan/k400_b16', 8),
        ('stan/ssv2_b16_16f', 16),
        ('baselines/evl/k400_b16', 8),
        # These test on another pipeline than their `test_pipeline`.
        ('mug_stan/zero_shot/k400_b16', 12),
        ('xclip/ablations/k400_b16_clip_one', 1),
    ],
)
def test_frames_and_size_are_the_test_loaders(name: str, frames: int) -> None:
    cfg = Config.fromfile(PROJECT / f'configs/{name}.py')
    assert find_view_size(cfg) == (frames, 224)
    system = read_system(str(PROJECT / f'configs/{name}.py'))
    assert system.view_of_tower(Settings(device='cpu', threads=1)) == (frames, 224)


def test_detectors_are_counted_with_four_boxes_on_square_and_wide_frames() -> None:
    tower = dict(type='mmstan.ImageTower', model='ViT-B-16-quickgelu')
    head = dict(type='mmstan.ActionHead')
    model = dict(
        type='mmstan.ActionDetector',
        backbone=dict(type='mmstan.FrameEncoder', tower=tower),
        roi_head=dict(type='mmstan.ActionRoIHead', bbox_head=head),
    )
    pipeline = [dict(type='Sampler', num_frames=8), dict(type='mmstan.ResizeToGrid', short=256)]
    cfg = Config(dict(model=model, test_pipeline=pipeline))
    assert find_view_size(cfg) == (8, 256)
    square, wide = format_flops(cfg, 8, 256).split('one view: ')[1:]
    assert square.startswith('8 frames of 256 x 256, 4 boxes')
    assert wide.startswith('8 frames of 256 x 448, 4 boxes')
    assert figures(square, 'GMACs') == pytest.approx([185.6, 185.6], abs=0.1)
    assert figures(wide, 'GMACs') == pytest.approx([336.9, 336.9], abs=0.1)
    assert figures(wide, 'video side')[0] == pytest.approx(86.19 + 0.062, abs=0.01)  # the head
