"""The key maps of X-CLIP's checkpoints, microsoft's and Hugging Face's: strict, both ways."""

import re
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from helpers.tiny_models import WORDS
from mmaction.registry import MODELS
from torch import Tensor, nn

from mmstan.converters import CONVERTERS
from mmstan.methods.xclip import XCLIP, MultiFrameIntegration, PromptedTextHead
from mmstan.methods.xclip import checkpoints as xclip
from mmstan.methods.xclip import checkpoints_hf as xclip_hf
from mmstan.models import FrameEncoder

TOWER = dict(type='mmstan.ImageTower', model=WORDS)
TEXT_TOWER = dict(type='mmstan.TextTower', model=WORDS)
NAMES = ['dancing', 'riding a bike']


@pytest.fixture(scope='module')
def ours() -> dict[str, Tensor]:
    model = nn.ModuleDict(
        dict(
            backbone=XCLIP(TOWER),
            neck=MultiFrameIntegration(16, num_frames=3, heads=2),
            cls_head=PromptedTextHead(NAMES, TEXT_TOWER, heads=2),
        )
    )
    return model.state_dict()


@pytest.fixture(params=[xclip, xclip_hf], ids=['microsoft', 'hugging face'])
def converter(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_there_and_back(ours: dict[str, Tensor], converter: ModuleType) -> None:
    released = converter.to_released(ours)
    assert_equal(converter.from_released(released), ours)
    assert (converter.from_released, converter.to_released) in CONVERTERS.values()


def test_released_names() -> None:
    """The tensors of the released B/16 model of 8 frames."""
    tower, text = (dict(type=f'mmstan.{x}Tower', model='ViT-B-16') for x in ('Image', 'Text'))
    with torch.device('meta'):
        parts = dict(
            backbone=XCLIP(tower),
            neck=MultiFrameIntegration(512, num_frames=8, heads=8),
            cls_head=PromptedTextHead(NAMES, text),
        )
        released = xclip.to_released(nn.ModuleDict(parts).state_dict())
    shapes = {name: tuple(x.shape) for name, x in released.items()}
    assert len(shapes) == 443
    expected = {
        'logit_scale': (),
        'positional_embedding': (77, 512),
        'token_embedding.weight': (49408, 512),
        'prompts_visual_proj': (768, 512),
        'prompts_visual_ln.bias': (768,),
        'transformer.resblocks.11.mlp.c_fc.weight': (2048, 512),
        'visual.positional_embedding': (197, 768),
        'visual.proj': (768, 512),
        'visual.transformer.resblocks.11.message_fc.weight': (768, 768),
        'visual.transformer.resblocks.0.message_ln.weight': (768,),
        'visual.transformer.resblocks.0.message_attn.in_proj_weight': (2304, 768),
        'visual.transformer.resblocks.0.message_attn.out_proj.bias': (768,),
        'mit.positional_embedding': (1, 8, 512),
        'mit.resblocks.0.attn.in_proj_bias': (1536,),
        'prompts_generator.alpha': (512,),
        'prompts_generator.norm.weight': (512,),
        'prompts_generator.decoder.1.cross_attn.k_proj.weight': (512, 512),
        'prompts_generator.decoder.1.cross_attn.proj.bias': (512,),
        'prompts_generator.decoder.0.norm3.bias': (512,),
        'prompts_generator.decoder.0.mlp.3.weight': (512, 2048),
    }
    assert {name: shapes.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    'name',
    [
        'logit_scale',
        'positional_embedding',
        'visual.transformer.resblocks.1.message_attn.out_proj.weight',
        'visual.transformer.resblocks.1.mlp.c_proj.bias',
        'mit.positional_embedding',
        'mit.resblocks.0.ln_1.weight',
        'prompts_visual_proj',
        'prompts_generator.decoder.1.cross_attn.v_proj.weight',
        'transformer.resblocks.0.ln_2.weight',
    ],
)
def test_strict(ours: dict[str, Tensor], name: str) -> None:
    released = xclip.to_released(ours)
    tensor = released.pop(name)
    with pytest.raises(ValueError, match=rf'1 tensors missing: {re.escape(name)}'):
        xclip.from_released(released)
    released |= {name: tensor, 'visual.extra': tensor}
    with pytest.raises(ValueError, match=r'1 tensors left over: visual\.extra'):
        xclip.from_released(released)


@pytest.mark.parametrize(
    'name',
    [
        'vision_model.encoder.layers.1.message_attn.k_proj.bias',
        'mit.encoder.layers.0.self_attn.q_proj.weight',
        'text_projection.weight',
        'prompts_generator.layernorm.bias',
    ],
)
def test_strict_hugging_face(ours: dict[str, Tensor], name: str) -> None:
    released = xclip_hf.to_released(ours)
    released['text_model.embeddings.position_ids'] = torch.arange(12)[None]
    assert_equal(xclip_hf.from_released(released), ours)
    tensor = released.pop(name)
    with pytest.raises(ValueError, match=rf'1 tensors missing: {re.escape(name)}'):
        xclip_hf.from_released(released)
    with pytest.raises(ValueError, match=r'1 tensors left over: mit\.extra'):
        xclip_hf.from_released(released | {name: tensor, 'mit.extra': tensor})


# --- parts ---


def recognizer(neck: str) -> nn.Module:
    necks = dict(
        mean=dict(type='mmstan.MeanPool'),
        mit=dict(type='mmstan.MultiFrameIntegration', width=16, num_frames=3, heads=2),
    )
    return MODELS.build(
        dict(
            type='mmaction.Recognizer3D',
            backbone=dict(type='mmstan.XCLIP', tower=TOWER, context=False),
            neck=necks[neck],
            cls_head=dict(type='mmstan.TextHead', class_names=NAMES, text_tower=TEXT_TOWER),
            data_preprocessor=dict(type='mmaction.ActionDataPreprocessor'),
        )
    )


@pytest.mark.parametrize(
    ('neck', 'parts', 'dropped'),
    [
        ('mean', ('visual', 'text'), ('mit.', 'prompts_', 'logit_scale')),
        ('mit', ('visual', 'mit', 'text'), ('prompts_', 'logit_scale')),
    ],
)
def test_parts(
    neck: str,
    parts: tuple[str, ...],
    dropped: tuple[str, ...],
    ours: dict[str, Tensor],
    converter: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Baselines read the same file; what is dropped is named and counted."""
    released, logged = converter.to_released(ours), []
    monkeypatch.setattr(xclip, 'print_log', lambda text, _: logged.append(text))
    state = converter.from_released(released, parts=parts)
    model = recognizer(neck)
    model.load_state_dict(state)  # nothing is missing, nothing left over
    again = converter.to_released(model.state_dict(), parts=parts)
    gone = released.keys() - again.keys()
    assert gone == {name for name in released if name.startswith(dropped)}
    assert [text.split(' of ')[0] for text in logged] == [f'{len(gone)} tensors']
    with pytest.raises(ValueError, match=r'1 tensors left over: visual\.extra'):
        converter.from_released(released | {'visual.extra': torch.zeros(1)}, parts=parts)


def test_image_tower_alone(ours: dict[str, Tensor]) -> None:
    state = xclip.from_released(xclip.to_released(ours), parts=('visual',))
    frames = {k: v for k, v in state.items() if '.messages.' not in k}
    FrameEncoder(TOWER).load_state_dict({k.removeprefix('backbone.'): v for k, v in frames.items()})


def test_unknown_part(ours: dict[str, Tensor], converter: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"parts=.*\['mlp'\] are not of \('visual', 'mit'"):
        converter.from_released(converter.to_released(ours), parts=('visual', 'mlp'))


def test_text_tower_elsewhere(ours: dict[str, Tensor], converter: ModuleType) -> None:
    released = converter.to_released(ours)
    state = converter.from_released(released, text_tower='text_tower.')
    assert 'text_tower.text.token_embedding.weight' in state
    assert_equal(converter.to_released(state, text_tower='text_tower.'), released)


# --- the file ---


class CfgNode(dict):
    """As in the released files, which were written with yacs."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.__dict__['__immutable__'] = True


CfgNode.__module__ = 'yacs.config'


def test_released_file(
    ours: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool reads the weights out of what else a released file holds."""
    yacs = ModuleType('yacs.config')
    yacs.CfgNode = CfgNode  # type: ignore[attr-defined]
    released = xclip.to_released(ours)
    optimizer = torch.optim.AdamW([released['visual.proj'].clone().requires_grad_()])
    checkpoint = dict(
        model=released,
        optimizer=optimizer.state_dict(),
        lr_scheduler=dict(base_values=[8e-6], t_in_epochs=False),
        max_accuracy=83.8,
        epoch=29,
        config=CfgNode({'MODEL': CfgNode({'ARCH': 'ViT-B/16'}), 'OUTPUT': '', 'AUG': [1, 0.5]}),
    )
    source, target = tmp_path / 'k400_16_8.pth', tmp_path / 'ours.pth'
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, 'yacs', ModuleType('yacs'))
        patch.setitem(sys.modules, 'yacs.config', yacs)
        torch.save(checkpoint, source)
    tool = Path(__file__).parents[3] / 'tools/convert_checkpoint.py'
    arguments = ['xclip', source, target]
    monkeypatch.setattr(sys, 'argv', [str(tool), *map(str, arguments)])
    runpy.run_path(str(tool), run_name='__main__')
    assert_equal(torch.load(target, weights_only=True)['state_dict'], ours)


def test_parts_on_the_command_line(
    ours: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message token alone takes the released file without its neck and prompts."""
    source, target = tmp_path / 'k400_16_8.pth', tmp_path / 'ours.pth'
    torch.save({'model': xclip.to_released(ours)}, source)
    tool = Path(__file__).parents[3] / 'tools/convert_checkpoint.py'

    def run(system: str) -> None:
        arguments = [str(tool), system, str(source), str(target), '--parts', 'visual', 'text']
        monkeypatch.setattr(sys, 'argv', arguments)
        runpy.run_path(str(tool), run_name='__main__')

    run('xclip')
    expected = xclip.from_released(xclip.to_released(ours), parts=('visual', 'text'))
    assert_equal(torch.load(target, weights_only=True)['state_dict'], expected)
    with pytest.raises(SystemExit, match='stan has no choice of parts'):
        run('stan')
