"""The key map of ActionCLIP's checkpoints: the two state dicts of a file, strict, both ways."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.scripts import convert
from helpers.tiny_models import WORDS, shaken
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmstan.converters import CONVERTERS, key_map
from mmstan.methods.actionclip import SequenceClassToken, SequenceConv, TemporalShift
from mmstan.methods.actionclip import checkpoints as actionclip
from mmstan.methods.clip4clip import SequenceLSTM, SequenceTransformer
from mmstan.models import FrameEncoder, TextTower

TOWER = dict(type='mmstan.ImageTower', model=WORDS)
WIDTH = WORDS['embed_dim']
NECKS = {
    'meanP': None,
    'Transf': lambda: SequenceTransformer(WIDTH, heads=2, layers=2),
    'LSTM': lambda: SequenceLSTM(WIDTH),
    'Conv_1D': lambda: SequenceConv(WIDTH),
    'Transf_cls': lambda: SequenceClassToken(WIDTH, heads=2, num_frames=3, layers=2),
}
TABLE = 'fusion_model_state_dict.module.frame_position_embeddings.weight'
SCALE = 'model_state_dict.logit_scale'


def model(neck: str = 'Transf', *, shift: bool = False) -> nn.Module:
    """Backbone, neck and text tower of a recogniser."""
    parts: dict[str, Any] = dict(
        backbone=TemporalShift(TOWER) if shift else FrameEncoder(TOWER),
        cls_head=nn.ModuleDict(dict(texts=nn.ModuleDict(dict(tower=TextTower(WORDS))))),
    )
    if (build := NECKS[neck]) is not None:
        parts['neck'] = build()
    return shaken(nn.ModuleDict(parts))


def as_file(released: dict[str, Tensor]) -> dict[str, Any]:
    """As ActionCLIP saves it."""
    file: dict[str, Any] = dict(epoch=49, optimizer_state_dict=dict(param_groups=[]))
    for part in ('model_state_dict', 'fusion_model_state_dict'):
        names = [name for name in released if name.startswith(f'{part}.')]
        file[part] = {name.removeprefix(f'{part}.'): released[name] for name in names}
    return file


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize('shift', [False, True])
@pytest.mark.parametrize('neck', NECKS)
def test_there_and_back(neck: str, shift: bool) -> None:
    ours = model(neck, shift=shift).state_dict()
    released = actionclip.to_released(ours, shift=shift)
    assert_equal(actionclip.from_released(released), ours)
    assert_equal(actionclip.from_released(as_file(released)), ours)
    assert any('.net.' in name for name in released) == shift
    # With a head other than the mean there is a table of positions, read or not.
    assert (TABLE in released) == (neck != 'meanP')
    assert released[SCALE].item() == pytest.approx(math.log(100))


@pytest.mark.parametrize(
    ('config', 'shift', 'fusion'),
    [
        (
            'k400_b16',
            False,
            {
                'frame_position_embeddings.weight': (77, 512),
                'transformer.resblocks.0.attn.in_proj_weight': (1536, 512),
                'transformer.resblocks.5.mlp.c_fc.bias': (2048,),
                'transformer.resblocks.5.ln_2.weight': (512,),
            },
        ),
        (
            'k400_b16_lstm',
            False,
            {
                'frame_position_embeddings.weight': (77, 512),
                'lstm_visual.weight_ih_l0': (2048, 512),
                'lstm_visual.bias_hh_l0': (2048,),
            },
        ),
        (
            'k400_b16_conv',
            False,
            {'frame_position_embeddings.weight': (77, 512), 'shift.weight': (512, 1, 3)},
        ),
        ('k400_b16_shift', True, {}),
    ],
)
def test_released_names(config: str, shift: bool, fusion: dict[str, tuple]) -> None:
    """The configs' models are the released ones in names and sizes."""
    path = Path(__file__).parents[3] / f'configs/baselines/actionclip/{config}.py'
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    cfg.model.cls_head.class_names = ['one', 'two']
    with torch.device('meta'):
        built = MODELS.build({k: v for k, v in cfg.model.items() if k != 'data_preprocessor'})
        released = actionclip.to_released(built.state_dict(), shift=shift)
    block = 'visual.transformer.resblocks.11.' + 'net.' * shift
    expected = {f'fusion_model_state_dict.module.{name}': x for name, x in fusion.items()} | {
        'model_state_dict.logit_scale': (),
        'model_state_dict.text_projection': (512, 512),
        'model_state_dict.transformer.resblocks.11.ln_1.bias': (512,),
        f'model_state_dict.{block}attn.out_proj.weight': (768, 768),
    }
    shapes = {name: tuple(x.shape) for name, x in released.items()}
    assert {name: shapes.get(name) for name in expected} == expected
    own = {name.split('.')[2] for name in released if name.startswith('fusion_')}
    assert own == {name.split('.')[0] for name in fusion}
    assert sum(name.startswith('model_') for name in released) == 302  # CLIP's


def test_the_scale_of_a_retrieval_model() -> None:
    ours = {
        name.replace('cls_head.texts.tower.', 'text_tower.'): tensor
        for name, tensor in model().state_dict().items()
    } | {'head.logit_scale': torch.tensor(3.0)}
    released = actionclip.to_released(ours, text_tower='text_tower.')
    assert released[SCALE] == 3
    assert_equal(actionclip.from_released(released, text_tower='text_tower.'), ours)
    assert 'head.logit_scale' not in actionclip.from_released(released)


@pytest.mark.parametrize(
    'name',
    [
        'model_state_dict.visual.class_embedding',
        'model_state_dict.visual.transformer.resblocks.1.mlp.c_proj.bias',
        'model_state_dict.transformer.resblocks.0.ln_2.weight',
        'model_state_dict.ln_final.bias',
        'fusion_model_state_dict.module.transformer.resblocks.1.ln_2.bias',
        TABLE,
    ],
)
def test_strict(name: str) -> None:
    released = actionclip.to_released(model().state_dict())
    tensor = released.pop(name)
    with pytest.raises(ValueError, match=rf'^1 tensors missing: {re.escape(name)}$'):
        actionclip.from_released(as_file(released))
    released |= {name: tensor, 'model_state_dict.visual.time_embedding': tensor}
    with pytest.raises(ValueError, match=r'^1 tensors left over: model_\S+\.time_embedding$'):
        actionclip.from_released(as_file(released))


@pytest.mark.parametrize('neck', ['LSTM', 'Conv_1D'])
def test_other_heads_are_left_over(neck: str) -> None:
    """The head with a class token is not built, nor is one head part of another."""
    released = actionclip.to_released(model(neck).state_dict())
    token = 'fusion_model_state_dict.module.transformer.cls_token'
    with pytest.raises(ValueError, match=rf'^1 tensors left over: {re.escape(token)}$'):
        actionclip.from_released({**released, token: torch.zeros(1, 1, WIDTH)})
    mean = actionclip.to_released(model('meanP').state_dict())
    with pytest.raises(ValueError, match=f'^1 tensors left over: {re.escape(TABLE)}$'):
        actionclip.from_released({**mean, TABLE: released[TABLE]})


def test_the_mended_convolution_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(actionclip, 'print_log', lambda message, *_: told.append(message))
    for neck in NECKS:
        actionclip.from_released(actionclip.to_released(model(neck).state_dict()))
    assert len(told) == 1 and 'SequenceConv does not' in told[0]


def test_tensors_that_are_dropped_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(key_map, 'print_log', lambda message, *_: told.append(message))
    released = actionclip.to_released(model('LSTM').state_dict())
    actionclip.from_released({**released, SCALE: torch.tensor(4.5)})
    assert told == [
        f'1 tensor dropped, which the neck does not read: {TABLE}',
        f'{SCALE} is dropped: TextHead(logit_scale=90.02)',
    ]


def test_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in half precision, and back."""
    ours = {name: tensor.half() for name, tensor in model().state_dict().items()}
    source, target, back = (tmp_path / name for name in ('best.pt', 'ours.pth', 'back.safetensors'))
    torch.save(as_file(actionclip.to_released(ours)), source)
    convert(monkeypatch, 'actionclip', source, target)
    assert_equal(torch.load(target, weights_only=True)['state_dict'], ours)
    convert(monkeypatch, 'actionclip', target, back, '--reverse')
    convert(monkeypatch, 'actionclip', back, target)
    assert_equal(torch.load(target, weights_only=True)['state_dict'], ours)
    assert CONVERTERS['actionclip'].from_released is actionclip.from_released
