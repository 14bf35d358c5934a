import builtins
import re
import socket
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from helpers.tiny_models import CLIP, COCA, IMAGE, reference
from mmengine.logging import MMLogger
from safetensors.torch import save_file
from torch import nn

from mmstan.models import ImageTower, TextTower
from mmstan.models.towers.weights import find_weights

# OpenAI's archives tell no head count: open_clip takes width // 64.
OPENAI = dict(
    embed_dim=16,
    vision_cfg=dict(IMAGE, width=64, layers=2, head_width=64),
    text_cfg=dict(context_length=8, vocab_size=50, width=64, heads=1, layers=2),
)


def openai_archive(model: nn.Module, path: Path) -> None:
    """A half-precision TorchScript archive with the names and the extra buffers of OpenAI's."""
    mask = model.attn_mask  # no buffer there
    del model.context_length, model.vocab_size, model.attn_mask
    model.attn_mask = mask
    for name in ('input_resolution', 'context_length', 'vocab_size'):
        model.register_buffer(name, torch.tensor(8))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that TorchScript is deprecated
        ids = torch.zeros(1, 8, dtype=torch.long)
        torch.jit.trace(model, (torch.zeros(1, 3, 32, 32), ids)).half().save(str(path))


def checkpoint(model: nn.Module, path: Path) -> None:
    state = {f'module.{key}': value for key, value in model.state_dict().items()}
    torch.save(dict(epoch=3, name='tiny', state_dict=state), path)


FORMATS: dict[str, Callable[[nn.Module, Path], None]] = {
    'openai.pt': openai_archive,
    'plain.pt': lambda model, path: torch.save(model.state_dict(), path),
    'epoch_3.pt': checkpoint,
    'open_clip_model.safetensors': lambda model, path: save_file(model.state_dict(), path),
}


def loaded(model: Any, path: Path, **arguments: Any) -> tuple[ImageTower, TextTower]:
    image = ImageTower(model, pretrained=str(path), **arguments)
    text = TextTower(model, pretrained=str(path))
    for tower in (image, text):
        tower.init_weights()
        tower.eval()
    return image, text


def closest(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('name', FORMATS)
def test_formats(name: str, tmp_path: Path) -> None:
    quick = name.startswith('openai')
    theirs = reference(OPENAI, quick_gelu=quick)
    FORMATS[name](theirs, tmp_path / name)
    if quick:  # as open_clip itself reads it, in float32
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            theirs = open_clip.load_openai_model(str(tmp_path / name), precision='fp32')
    image, text = loaded(OPENAI, tmp_path / name)
    images, ids = torch.randn(2, 3, 32, 32), torch.randint(1, 50, (2, 8))
    closest(image(images), theirs.encode_image(images))
    closest(text(ids).sentence, theirs.encode_text(ids))
    assert {p.dtype for p in [*image.parameters(), *text.parameters()]} == {torch.float32}


@torch.no_grad()
@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
def test_coca(suffix: str, tmp_path: Path) -> None:
    theirs, path = reference(COCA), tmp_path / f'coca{suffix}'
    save_file(theirs.state_dict(), path) if suffix != '.pt' else checkpoint(theirs, path)
    image, text = loaded(COCA, path)
    images, ids = torch.randn(2, 3, 32, 32), torch.randint(1, 64, (2, 12))
    closest(image(images), theirs.encode_image(images, normalize=False))
    closest(text(ids).sentence, theirs.encode_text(ids, normalize=False))


@torch.no_grad()
@pytest.mark.parametrize(('size', 'half'), [(24, False), (48, False), (48, True)])
def test_another_image_size(size: int, half: bool, tmp_path: Path) -> None:
    theirs, path = reference(CLIP), tmp_path / 'clip.pt'
    if half:  # interpolated in float32 all the same
        theirs = theirs.half()
    torch.save(theirs.state_dict(), path)
    theirs.float()
    image, _ = loaded(CLIP, path, image_size=size)
    resized = reference(dict(CLIP, vision_cfg=dict(IMAGE, image_size=size)))
    state = theirs.state_dict()
    open_clip.model.resize_pos_embed(state, resized)
    resized.load_state_dict(state)
    images = torch.randn(2, 3, size, size)
    assert image.positions((size // 8, size // 8)) is image.visual.positional_embedding
    closest(image(images), resized.encode_image(images))
    # The table that was interpolated once and the one interpolated at run time are the same.
    other, _ = loaded(CLIP, path)
    closest(other(images), image(images))


@pytest.mark.parametrize('pretrained', ['openai', 'nowhere/weights.pt', 'no-such-tag'])
def test_constructor_reads_no_weights(pretrained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError('the constructor went for the weights')

    for target, name in (
        (open_clip, 'download_pretrained'),
        (socket, 'getaddrinfo'),
        (torch, 'load'),
        (torch.jit, 'load'),
        (builtins, 'open'),
    ):
        monkeypatch.setattr(target, name, refuse)
    with torch.device('meta'):
        ImageTower('ViT-B-32', pretrained=pretrained)


def test_constructor_reads_no_file(tmp_path: Path) -> None:
    path = tmp_path / 'damaged.pt'
    path.write_bytes(b'no weights at all')
    tower = ImageTower(CLIP, pretrained=str(path))
    with pytest.raises(ValueError, match=r'damaged\.pt'):
        tower.init_weights()


# --- what is wrong is said in one line ---


def message(error: pytest.ExceptionInfo[Exception]) -> str:
    text = str(error.value)
    assert '\n' not in text
    return text


@pytest.mark.parametrize('tower', [ImageTower, TextTower])
def test_weights_of_another_model(tower: type, tmp_path: Path) -> None:
    path = tmp_path / 'other.pt'
    torch.save(reference(OPENAI).state_dict(), path)
    with pytest.raises(ValueError, match='does not fit the tower') as error:
        tower(CLIP, pretrained=str(path)).init_weights()
    text = message(error)
    assert str(path) in text
    first = 'class_embedding' if tower is ImageTower else 'ln_final.bias'
    assert re.search(rf'\d+ of another shape: {first} \(64 for (32|24)\), ', text)
    assert ('24 missing: ' in text) == (tower is ImageTower)
    assert 'set model to the architecture' in text


@pytest.mark.parametrize(
    ('tower', 'rest', 'named'),
    [
        (ImageTower, 'text.', r"'visual\.\*' tensors; 67 missing: attn_pool.attn.in_proj_bias"),
        (TextTower, 'visual.', r"'text\.\*' tensors; 30 missing: cls_emb, ln_final.bias"),
    ],
)
def test_weights_of_the_other_half(tower: type, rest: str, named: str, tmp_path: Path) -> None:
    state = {key: v for key, v in reference(COCA).state_dict().items() if key.startswith(rest)}
    torch.save(state, tmp_path / 'half.pt')
    with pytest.raises(ValueError, match=named) as error:
        tower(COCA, pretrained=str(tmp_path / 'half.pt')).init_weights()
    message(error)


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path('it_ran'),)


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('text.pt', 'cannot be read: it is no checkpoint of torch'),
        ('empty.pt', 'holds no tensors, but nothing'),
        ('cut.pt', 'cannot be read: it is cut off'),
        ('code.pt', 'is refused for pathlib.Path'),
        ('cut.safetensors', 'cannot be read: it is cut off: its header is longer than the file'),
    ],
)
def test_file_that_is_none(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    torch.save(dict(state_dict={}) if name == 'empty.pt' else dict(a=Code()), path)
    if name == 'text.pt':
        path.write_text('hello world\n')
    elif name == 'cut.pt':
        path.write_bytes(path.read_bytes()[:100])
    elif name == 'cut.safetensors':
        save_file(reference(CLIP).state_dict(), path)
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=re.escape(reason)) as error:
        ImageTower(CLIP, pretrained=str(path)).init_weights()
    assert str(path) in message(error)
    assert not Path('it_ran').exists()


def test_file_that_is_missing() -> None:
    with pytest.raises(FileNotFoundError, match='there is no such file; set pretrained') as error:
        find_weights('ViT-B-32', 'weights/ViT-B-32.pt')
    assert 'weights/ViT-B-32.pt' in message(error)


@pytest.mark.parametrize('model', ['ViT-B-32', 'explicit sizes'])
def test_unknown_tag(model: str) -> None:
    with pytest.raises(ValueError, match='is neither a file nor a tag') as error:
        find_weights(model, 'opneai')
    assert ('openai' in message(error)) == (model == 'ViT-B-32')


# --- no network ---


def without_network(*_: Any, **__: Any) -> None:
    raise OSError('no route to host')


@pytest.mark.parametrize('tower', [ImageTower, TextTower])
def test_no_network(tower: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_clip, 'download_pretrained', without_network)
    monkeypatch.setattr(socket, 'create_connection', without_network)
    with torch.device('meta'):
        model = tower('ViT-B-32', pretrained='openai')
    with pytest.raises(FileNotFoundError, match="no weights for 'ViT-B-32'") as error:
        model.init_weights()
    text = message(error)
    for part in (
        'no route to host',  # why
        'open_clip_model.safetensors',  # which file
        'https://openaipublic.azureedge.net/',
        'set pretrained to the path',  # where it goes
        "pretrained=None goes on without weights (with model='ViT-B-32-quickgelu', for",
        "model='ViT-B-32-quickgelu'",  # what the file cannot tell
    ):
        assert part in text


def test_no_network_is_known_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(socket, 'create_connection', without_network)
    monkeypatch.setattr(socket, 'getaddrinfo', without_network)
    for name in (
        'http_proxy',
        'https_proxy',
        'all_proxy',
        'HTTP_PROXY',
        'HTTPS_PROXY',
        'ALL_PROXY',
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('HOME', str(tmp_path))  # nothing cached
    start = time.monotonic()
    with pytest.raises(FileNotFoundError, match="no weights for 'ViT-B-16'"):
        find_weights('ViT-B-16', 'laion2b_s34b_b88k')
    assert time.monotonic() - start < 5
    from huggingface_hub import constants

    assert not constants.HF_HUB_OFFLINE  # only for the time of the attempt
    assert socket.getdefaulttimeout() is None


def test_downloaded_file_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def download(cfg: dict[str, Any], prefer_hf_hub: bool) -> str:
        asked.append((cfg['hf_hub'], prefer_hf_hub))
        if prefer_hf_hub:
            raise OSError
        return str(tmp_path / 'ViT-B-32.pt')

    monkeypatch.setattr(open_clip, 'download_pretrained', download)
    assert find_weights('ViT-B-32', 'openai') == tmp_path / 'ViT-B-32.pt'
    assert [prefer for _, prefer in asked] == [True, False]  # the hub first, then OpenAI's address


# --- activation ---


def activation(tower: nn.Module) -> str:
    return type(next(m for n, m in tower.named_modules() if n.endswith('mlp.gelu'))).__name__


@pytest.mark.parametrize('tower', [ImageTower, TextTower])
@pytest.mark.parametrize(
    ('model', 'pretrained', 'expected'),
    [
        ('ViT-B-32', 'openai', 'QuickGELU'),
        ('ViT-B-32', 'laion2b_s34b_b79k', 'GELU'),
        ('ViT-B-32', None, 'GELU'),
        ('ViT-B-32-quickgelu', None, 'QuickGELU'),
        ('ViT-B-32-quickgelu', 'openai', 'QuickGELU'),
        (dict(CLIP, quick_gelu=True), None, 'QuickGELU'),
    ],
)
def test_activation(
    tower: type, model: Any, pretrained: str | None, expected: str, capsys: Any
) -> None:
    MMLogger.get_instance('tower', log_level='INFO')
    with torch.device('meta'):
        assert activation(tower(model, pretrained=pretrained)) == expected
    assert f': {expected}, weights {pretrained}' in ''.join(capsys.readouterr())


@pytest.mark.parametrize('tower', [ImageTower, TextTower])
def test_activation_of_openais_archive(tower: type, tmp_path: Path, capsys: Any) -> None:
    MMLogger.get_instance('tower', log_level='INFO')
    openai_archive(reference(OPENAI), tmp_path / 'openai.pt')
    torch.save(reference(OPENAI).state_dict(), tmp_path / 'open_clip.pt')
    assert activation(tower(OPENAI, pretrained=str(tmp_path / 'openai.pt'))) == 'QuickGELU'
    assert 'QuickGELU' in ''.join(capsys.readouterr())
    assert activation(tower(OPENAI, pretrained=str(tmp_path / 'open_clip.pt'))) == 'GELU'


def test_activation_that_cannot_be_told_is_warned_about(capsys: Any) -> None:
    MMLogger.get_instance('tower', log_level='INFO')
    with torch.device('meta'):
        ImageTower('ViT-B-32', pretrained='weights/ViT-B-32.pt')
    out = ''.join(capsys.readouterr())
    assert 'WARNING' in out
    assert "write model='ViT-B-32-quickgelu'" in out
