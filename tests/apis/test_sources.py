"""Where a model comes from."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from apis.conftest import Files
from helpers.local_hub import serve_hub

import mmstan
from mmstan.apis.sources import choose_device
from mmstan.apis.video_model import VideoModel
from mmstan.config.find import find_config, list_configs

STAN = 'stan/k400_b16'
Models = Callable[[str], VideoModel]


def test_configs_are_found_by_name() -> None:
    path, name = find_config('stan_k400_b16')
    assert name == STAN and Path(path).name == 'k400_b16.py'
    for source in (STAN, f'configs/{STAN}.py', path):
        assert find_config(source)[1] == STAN
    assert len(list_configs()) > 300  # each by its path and by its metafile's name
    with pytest.raises(FileNotFoundError, match=r'did you mean stan[/_]k400_b16'):
        find_config('stan/k400_b61')


def test_weights_are_never_random(tiny_files: Callable[[str], Files]) -> None:
    config = tiny_files(STAN).config
    with pytest.raises(ValueError, match=r"no weights: give weights=FILE, or weights='pretrained'"):
        mmstan.load(config)
    with pytest.raises(ValueError, match='the weights would be random'):
        mmstan.load(tiny_files('baselines/evl/k400_b16').config, 'pretrained')
    with pytest.raises(FileNotFoundError, match=r"weights='nowhere\.pth': there is no such file"):
        mmstan.load(config, 'nowhere.pth')
    with pytest.raises(ValueError, match=r'does not fit the Recognizer3D.*missing'):
        mmstan.load(config, tiny_files('xclip/k400_b16').checkpoint)


def test_pretrained_towers_alone(tiny_files: Callable[[str], Files], tmp_path: Path) -> None:
    from mmengine.config import Config

    cfg = Config.fromfile(tiny_files('baselines/clip_mean/k400_b16').config)
    model = mmstan.load(*tiny_files('baselines/clip_mean/k400_b16'), device='cpu').model
    weights = tmp_path / 'clip.pt'
    visual = {f'visual.{k}': v for k, v in model.backbone.tower.visual.state_dict().items()}
    text = model.cls_head.texts.tower.text.state_dict()
    torch.save({**visual, **text}, weights)
    cfg.model.backbone.tower.pretrained = str(weights)
    cfg.model.cls_head.text_tower.pretrained = str(weights)
    cfg.dump(tmp_path / 'config.py')
    loaded = mmstan.load(tmp_path / 'config.py', 'pretrained', device='cpu')
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, loaded.model.backbone.state_dict()[name]), name


def test_other_wrong_sources(tmp_path: Path, tiny_model: Models) -> None:
    (tmp_path / 'weights.pth').write_bytes(b'')
    with pytest.raises(ValueError, match='is neither a config'):
        mmstan.load(tmp_path / 'weights.pth')
    with pytest.raises(FileNotFoundError, match=r'without config\.json'):
        mmstan.load(tmp_path)
    with pytest.raises(ValueError, match='write hf://OWNER/NAME'):
        mmstan.load('hf://only_a_name')
    with pytest.raises(ValueError, match="device='tpu9' does not work here"):
        choose_device('tpu9')
    tiny_model(STAN).save(tmp_path / 'saved')
    with pytest.raises(ValueError, match='has weights of its own'):
        mmstan.load(tmp_path / 'saved', 'a.pth')


def test_class_names_that_are_missing_are_asked_for(
    tiny_files: Callable[[str], Files], tmp_path: Path
) -> None:
    from mmengine.config import Config

    config, checkpoint = tiny_files(STAN)
    cfg = Config.fromfile(config)
    cfg.model.cls_head.class_names = 'data/nowhere.txt'
    cfg.dump(tmp_path / 'config.py')
    with pytest.raises(FileNotFoundError, match=r'to use config, give its names: class_names='):
        mmstan.load(tmp_path / 'config.py', checkpoint)
    model = mmstan.load(tmp_path / 'config.py', checkpoint, class_names=['a', 'b'], device='cpu')
    assert model.class_names == ['a', 'b']


def test_a_model_of_the_hub(tiny_model: Models, clips: list[Path], tmp_path: Path) -> None:
    """Uploaded, downloaded, the same."""
    model = tiny_model(STAN)
    with serve_hub(tmp_path):
        assert model.push_to_hub('me/stan') == 'hf://me/stan'
        assert b'"private"' in (tmp_path / 'me' / 'stan.json').read_bytes()
        loaded = mmstan.load('hf://me/stan', device='cpu', workers=0)
        with pytest.raises(FileNotFoundError, match='hf://me/other cannot be fetched'):
            mmstan.load('hf://me/other')
    names = {path.name for path in (tmp_path / 'me' / 'stan').iterdir()}
    assert names == {'config.json', 'model.safetensors', 'README.md'}
    assert torch.equal(loaded.embed(clips[0]), model.embed(clips[0]))
