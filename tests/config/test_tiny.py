"""The tiny form of the shipped configs: all are built, one of each kind takes a training step."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from helpers.scripts import PROJECT
from helpers.shipped_configs import assert_learns, load, on_meta
from helpers.whole_runs import scalars, train_tiny
from mmengine.config import Config

from mmstan.config.checks import check_arguments
from mmstan.config.tiny import make_tiny
from mmstan.models.towers.architecture import find_architecture
from mmstan.registry import known_classes

CONFIGS = PROJECT / 'configs'
# Without configs that have another recipe or data for the model of a config that is tried as well.
SAME_MODEL = re.compile(r'(mug_)?stan/\w+_paper\.py|xclip/few_shot/hmdb51_b16_2shot_.*')
NAMES = sorted(
    name
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
    if not SAME_MODEL.fullmatch(name := str(path.relative_to(CONFIGS)))
)


@pytest.mark.parametrize('name', NAMES)
def test_every_config_has_a_tiny_form(name: str, shapes: Path) -> None:
    cfg = load(name)
    tiny = make_tiny(deepcopy(cfg), data=shapes)
    assert tiny.load_from is None
    assert tiny.model.get('text_length') == cfg.model.get('text_length')
    for split in ('train', 'val', 'test'):
        if cfg[f'{split}_dataloader'] is None:  # nothing is trained
            continue
        dataset = tiny[f'{split}_dataloader'].dataset
        assert dataset.pipeline == cfg[f'{split}_dataloader'].dataset.pipeline
        assert dataset.get('test_mode', False) == (split != 'train')
        if dataset.type == 'mmstan.Shards':
            assert [path.suffix for path in Path(dataset.urls).glob('*.tar')]
            continue
        assert Path(dataset.get('captions') or dataset.ann_file).is_file()
        assert Path(dataset.data_prefix.video).is_dir()
    model = on_meta(tiny.model)
    assert len(model.backbone.tower.blocks) == depth(cfg.model.backbone.tower)
    sizes = {key: p.numel() for key, p in model.named_parameters()}
    words = {key for key in sizes if key.endswith('token_embedding.weight')}
    assert all(sizes.pop(key) == 49408 * 32 for key in words)
    assert max(sizes.values()) <= 32 * 3 * 32 * 32  # the patches


def with_classes(node: Any) -> Any:
    """A part of a config with classes for the names of ours, as pure-Python configs have them."""
    if isinstance(node, dict):
        node = {key: with_classes(value) for key, value in node.items()}
        return node | (
            {'type': known_classes().get(node['type'], node['type'])} if 'type' in node else {}
        )
    return type(node)(map(with_classes, node)) if isinstance(node, (list, tuple)) else node


@pytest.mark.parametrize(
    'name', ['stan/k400_b16.py', 'mug_stan/msrvtt_b32.py', 'dist/ek100_b16.py', 'xclip/k400_b16.py']
)
def test_types_that_are_classes(name: str, shapes: Path) -> None:
    named = load(name)
    pure = Config(with_classes(named.to_dict()))
    assert isinstance(pure.model.backbone.type, type)
    check_arguments(pure)
    assert make_tiny(pure, data=shapes).to_dict() == make_tiny(named, data=shapes).to_dict()


def depth(tower: dict[str, Any]) -> int:
    """Blocks of a configured tower."""
    if 'vit' in tower:
        assert tower['vit']['arch'] == 'b'
        return 12
    return find_architecture(tower['model'], None).vision_cfg['layers']


@pytest.mark.parametrize(
    'name',
    [
        'baselines/clip_mean/k400_b32.py',
        'baselines/clip_mean/msrvtt_b32.py',
        'baselines/message_token/msrvtt_b32.py',
        'mug_stan/ablations/msrvtt_b32_no_stan.py',
        'mug_stan/ablations/msrvtt_b32_simple.py',
        'mug_stan/ablations/msrvtt_b32_token_token.py',
        'mug_stan/ablations/msrvtt_b32_top_1.py',
        'mug_stan/ablations/msrvtt_b32_wti.py',
        'mug_stan/k400_b16.py',
        'mug_stan/msrvtt_b32.py',
        'mug_stan/msrvtt_coca_b32.py',
        'stan/few_shot/ucf101_b16_2shot.py',
        'stan/msrvtt_b32.py',
        'stan/msrvtt_b32_conv.py',
        'xclip/ablations/k400_b16_coop.py',
        'xclip/ablations/k400_b16_ensemble.py',
        'xclip/ablations/k400_b16_imagenet_1k.py',
        'xclip/ablations/k400_b16_tune_text.py',
        'xclip/k400_b32.py',
    ],
)
def test_gradients_reach_every_trainable_parameter(name: str, shapes: Path) -> None:
    assert_learns(make_tiny(load(name), data=shapes))


@pytest.mark.parametrize(
    'neck',
    [
        dict(
            type='mmstan.SequenceTransformer',
            width=512,
            heads=8,
            init_from=dict(model='ViT-B-32', pretrained='openai'),
        ),
        dict(type='mmstan.SequenceLSTM', width=512),
    ],
)
def test_necks_follow_the_joint_space(neck: dict[str, Any], shapes: Path) -> None:
    cfg = load('baselines/clip_mean/msrvtt_b32.py')
    cfg.model.neck = neck
    cfg.optim_wrapper.paramwise_cfg = dict(rules=[dict(match='')])
    assert_learns(make_tiny(cfg, data=shapes))


def test_a_split_that_is_not_there(shapes: Path) -> None:
    cfg = load('stan/msrvtt_b32.py')
    cfg.update(val_dataloader=None, train_cfg=None)
    tiny = make_tiny(cfg, data=shapes)
    assert tiny.val_dataloader is None and tiny.train_cfg is None


@pytest.mark.slow
def test_a_retrieval_config_trains_in_its_tiny_form(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_dir = train_tiny('mug_stan/msrvtt_b32.py', shapes, tmp_path, monkeypatch)
    logged = scalars(work_dir)
    assert any('loss_t2v' in line and 'loss_v2t' in line for line in logged)
    assert any('retrieval/t2v/R1' in line for line in logged)
    assert list(work_dir.glob('best_retrieval_t2v_R1_*.pth'))
