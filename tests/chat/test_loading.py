"""Engines that are refused, that are not here, and packages that are missing."""

import ast
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_chat import (
    GREEDY,
    QUESTION,
    make_branch,
    make_frames,
    save_branch,
    save_tiny_engine,
)

from mmstan.chat import VideoChat
from mmstan.chat.loading import check_engine, loads_to_cpu


def write_config(folder: Path, **config: Any) -> Path:
    (folder / 'config.json').write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize('kind', ['llava_next', 'vipllava', 'llava_next_video', 'video_llava'])
def test_other_kinds_of_models(kind: str, tmp_path: Path) -> None:
    folder = write_config(tmp_path, model_type=kind, vision_config={}, text_config={})
    message = rf"^engine='.*' has model_type '{kind}': a LLaVA with a CLIP tower is taken"
    with pytest.raises(ValueError, match=message):
        check_engine(str(folder))


def test_another_tower_or_several_layers(engine: Path, tmp_path: Path) -> None:
    config = json.loads((engine / 'config.json').read_text())
    other = dict(config, vision_config={'model_type': 'siglip_vision_model'})
    with pytest.raises(ValueError, match="tower of model_type 'siglip_vision_model'"):
        check_engine(str(write_config(tmp_path, **other)))
    several = dict(config, vision_feature_layer=[-2, -3])
    with pytest.raises(ValueError, match=r'vision_feature_layer=\[-2, -3\]: one layer'):
        check_engine(str(write_config(tmp_path, **several)))
    own = dict(model_type='llava', mm_vision_tower='openai/clip-vit-large-patch14')
    with pytest.raises(
        ValueError, match=r'own format: python tools/convert_checkpoint\.py llava_v1'
    ):
        check_engine(str(write_config(tmp_path, **own)))


def test_an_engine_that_is_not_here(branch: Path, tmp_path: Path) -> None:
    message = (
        r"engine='nobody/nothing' is neither a folder nor in the cache.*run hf download nobody"
    )
    with pytest.raises(OSError, match=message):
        VideoChat.from_pretrained('nobody/nothing', branch, local_files_only=True)
    with pytest.raises(OSError, match=r"engine='.*' cannot be read: the folder has no config"):
        VideoChat.from_pretrained(tmp_path, branch)


@pytest.mark.parametrize(
    ('package', 'options', 'message'),
    [
        ('transformers', {}, r'^the chat needs transformers: pip install "mmstan\[chat\]"$'),
        ('accelerate', {}, r"^device_map='auto' needs accelerate: pip install \"mmstan\[chat\]\"$"),
        ('accelerate', dict(quantize='4bit', device_map=None), r'^quantising needs accelerate'),
        (
            'bitsandbytes',
            dict(quantize='8bit'),
            r"^quantize='8bit' needs bitsandbytes: pip install \"bitsandbytes\"$",
        ),
    ],
)
def test_missing_packages(
    package: str,
    options: dict[str, Any],
    message: str,
    engine: Path,
    branch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=message):
        VideoChat.from_pretrained(engine, branch, **options)


def test_a_wrong_choice(engine: Path, branch: Path) -> None:
    with pytest.raises(ValueError, match="quantize='2bit'"):
        VideoChat.from_pretrained(engine, branch, quantize='2bit')  # type: ignore[arg-type]


def test_an_engine_without_a_chat_template(
    chat: VideoChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat.engine.processor, 'chat_template', None)
    with pytest.raises(ValueError, match='the engine has no chat template'):
        chat.ask(make_frames(4), QUESTION, **GREEDY)


OPTIONAL = {'transformers', 'tokenizers', 'accelerate', 'bitsandbytes', 'gradio', 'sentencepiece'}


def test_mmstan_imports_without_transformers() -> None:
    """Where a module is imported, none of the chat's packages is; functions import them."""
    package = Path(__file__).parents[2] / 'mmstan'
    for path in package.rglob('*.py'):
        for node in ast.parse(path.read_text('utf-8')).body:
            names = [alias.name for alias in getattr(node, 'names', [])]
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert not OPTIONAL & {name.split('.')[0] for name in names}, path
                inside = path.is_relative_to(package / 'chat') or path.stem == 'chat_options'
                assert inside or not any(name.startswith('mmstan.chat') for name in names), path


def test_half_precision_throughout(engine: Path, branch: Path) -> None:
    chat = VideoChat.from_pretrained(engine, branch, num_frames=4, dtype=torch.bfloat16)
    assert chat.encode(make_frames(4)).dtype == torch.bfloat16
    assert chat.ask(make_frames(4), QUESTION, **GREEDY)


@pytest.mark.parametrize(
    ('device_map', 'right'),
    [
        *((x, True) for x in (None, 'cpu', torch.device('cpu'), {'': 'cpu'})),
        *((x, False) for x in ('auto', 'cuda', 0, {'': 'cuda'}, {'a': 'cpu', 'b': 0})),
    ],
)
def test_a_map_to_the_cpu_alone(
    device_map: Any, right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is loaded in float32, however it is written."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert loads_to_cpu(device_map) is right


@pytest.mark.skipif(find_spec('bitsandbytes') is None, reason='needs bitsandbytes')
@pytest.mark.filterwarnings('ignore')
def test_four_bits(tmp_path: Path) -> None:
    # Blocks of weights are 64 long: widths must be their multiples.
    folder = save_tiny_engine(tmp_path / 'engine', width=128)
    file = save_branch(tmp_path / 'branch.pth', make_branch())
    chat = VideoChat.from_pretrained(folder, file, num_frames=4, quantize='4bit')
    kinds = {name: type(m).__name__ for name, m in chat.engine.model.named_modules()}
    assert kinds['model.language_model.layers.0.self_attn.q_proj'] == 'Linear4bit'
    assert kinds['model.multi_modal_projector.linear_1'] == 'Linear'
    assert kinds['lm_head'] == 'Linear'
    assert not any('4bit' in type(m).__name__ for m in chat.encoder.backbone.modules())
    assert isinstance(chat.ask(make_frames(4), QUESTION, **GREEDY), str)
