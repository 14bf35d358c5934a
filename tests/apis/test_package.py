"""Saved models: every config round, no code run, and what is refused."""

import json
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from apis.conftest import Files
from helpers.tiny_models import TOWER
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from safetensors import safe_open
from safetensors.torch import save_file

import mmstan
from mmstan.apis.description import (
    ModelDescription,
    describe_config,
    restore_tuples,
    to_json,
)
from mmstan.apis.package import load_package, read_description, save_package
from mmstan.apis.video_model import VideoModel
from mmstan.config.find import list_configs
from mmstan.config.paths import find_shipped
from mmstan.config.tiny import make_tiny
from mmstan.config.walk import walk
from mmstan.models.towers.architecture import find_architecture
from mmstan.registry import MODELS, TRANSFORMS

Models = Callable[[str], VideoModel]
STAN = 'stan/k400_b16'
CONFIGS = sorted(name for name in list_configs() if '/' in name)


@pytest.mark.parametrize('folder', sorted({name.partition('/')[0] for name in CONFIGS}))
def test_every_config_survives_json(folder: str, moving_shapes: Path, tmp_path: Path) -> None:
    """Model and pipelines of each config are equal after JSON; one of each kind is built."""
    init_default_scope('mmaction')
    built, starts = set(), set()
    for name in (name for name in CONFIGS if name.startswith(f'{folder}/')):
        cfg = Config.fromfile(find_shipped('configs') / f'{name}.py')
        if 'roi_head' in cfg.model:
            with pytest.raises(
                ValueError, match=r'needs the boxes of persons: use tools/detect\.py'
            ):
                describe_config(cfg, name=name)
            continue
        starts |= {(x.model, x.pretrained) for x in walk(cfg.model) if x.get('pretrained')}
        make_tiny(cfg, data=moving_shapes.parent)
        before = describe_config(cfg, name=name)
        (tmp_path / 'config.json').write_text(to_json(before, mmstan=mmstan.__version__))
        after = read_description(str(tmp_path / 'config.json'))
        assert (after.class_names, after.task) == (before.class_names, before.task)
        written = json.loads(to_json(before, mmstan=mmstan.__version__))['model']
        assert after.model.to_dict() == restore_tuples(written)
        kind = tuple(sorted({str(node.get('type')) for node in walk(before.model)}))
        if kind not in built:
            built.add(kind)
            with torch.device('meta'):
                models = [MODELS.build(x.model) for x in (before, after)]
            shapes = [{k: v.shape for k, v in model.state_dict().items()} for model in models]
            assert shapes[0] == shapes[1] and shapes[0]
        for views in ('val', 'test'):
            steps = [
                [_show(TRANSFORMS.build(dict(step))) for step in x.pipelines[views]]
                for x in (before, after)
            ]
            assert steps[0] == steps[1]
    for start in starts:
        keeps_the_activation(*start)


def keeps_the_activation(model: Any, pretrained: str) -> None:
    """A saved model has no `pretrained`, and only OpenAI's tag tells that it has QuickGELU."""
    start = dict(model=model, pretrained=pretrained)
    cfg = ConfigDict(backbone=dict(tower=start), neck=dict(init_from=dict(start)))
    saved = json.loads(to_json(ModelDescription(cfg, {}, None, 'retrieval', 'x')))['model']
    for node in (saved['backbone']['tower'], saved['neck']['init_from']):
        assert node['pretrained'] is None
        found, right = find_architecture(**node), find_architecture(**start)
        assert (found.quick_gelu, found.vision_cfg, found.text_cfg) == (
            right.quick_gelu, right.vision_cfg, right.text_cfg,
        )  # fmt: skip


def test_the_activation_of_sizes_and_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / 'clip.pt', 'w') as archive:
        archive.writestr('clip/code/clip.py', '')  # TorchScript, as OpenAI's
    for model in ('ViT-B-32', 'ViT-B-16-quickgelu', 'coca_ViT-B-32', TOWER['model']):
        keeps_the_activation(model, str(tmp_path / 'clip.pt'))
    own = dict(type='MyNet', model='resnet50', pretrained=True)  # a module of one's own
    cfg = ConfigDict(backbone=own)
    saved = json.loads(to_json(ModelDescription(cfg, {}, None, 'retrieval', 'x')))['model']
    assert saved['backbone'] == {**own, 'pretrained': None}
    assert find_architecture('ViT-B-16', 'openai').quick_gelu
    keeps_the_activation('ViT-L-14-336', 'openai')


def _show(transform: Any) -> str:
    """A transform's options; whether a sequence is a list or a tuple does not matter."""
    return repr(transform).translate(str.maketrans('[]', '()'))


@pytest.mark.parametrize('name', [STAN, 'mug_stan/msrvtt_b32', 'baselines/evl/k400_b16'])
def test_a_folder_and_its_one_file_give_the_same_model(
    name: str, tiny_model: Models, clips: list[Path], tmp_path: Path
) -> None:
    model = tiny_model(name)
    model.save(tmp_path / 'saved')
    assert sorted(p.name for p in (tmp_path / 'saved').iterdir()) == [
        'README.md',
        'config.json',
        'model.safetensors',
    ]
    alone = tmp_path / 'alone.safetensors'
    alone.write_bytes((tmp_path / 'saved/model.safetensors').read_bytes())
    for source in (tmp_path / 'saved', alone):
        loaded = mmstan.load(source, device='cpu', workers=0)
        assert loaded.identity == model.identity and loaded.class_names == model.class_names
        assert torch.equal(loaded.embed(clips), model.embed(clips))


def test_it_loads_in_an_empty_folder_without_a_network(
    tiny_model: Models, clips: list[Path], tmp_path: Path
) -> None:
    model = tiny_model(STAN)
    model.save(tmp_path / 'saved')
    program = f"""
        import socket
        socket.socket.connect = None
        import mmstan
        from mmstan.config import paths
        paths.find_shipped = None
        model = mmstan.load('saved', device='cpu', workers=0)
        print(model.classify({str(clips[0])!r}).all.tolist())
    """
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', textwrap.dedent(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == model.classify(clips[0]).all.tolist()


def test_the_card_has_front_matter_and_says_what_is_not_measured(
    tiny_model: Models, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    tiny_model(STAN).save(tmp_path / 'saved')
    card = ModelCard.load(tmp_path / 'saved/README.md')
    assert card.data.library_name == 'mmstan' and card.data.pipeline_tag == 'video-classification'
    assert 'mmstan.load(' in card.text and 'not measured' in card.text


def test_other_class_names(tiny_model: Models, clips: list[Path], tmp_path: Path) -> None:
    tiny_model(STAN).save(tmp_path / 'saved')
    model = mmstan.load(tmp_path / 'saved', class_names=['run', 'sit'], device='cpu', workers=0)
    assert set(model.classify(clips[0]).names) == {'run', 'sit'}


def test_a_folder_with_other_files_is_left_alone(tiny_model: Models, tmp_path: Path) -> None:
    (tmp_path / 'thesis.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='holds other files'):
        tiny_model(STAN).save(tmp_path)


def test_a_save_that_was_stopped_is_made_again(
    tiny_model: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(_: Path, target: Path) -> None:
        target.write_bytes(b'half')
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch, pytest.raises(OSError, match='No space left'):
        patch.setattr('mmstan.apis.package.shutil.copyfile', fill_up)
        tiny_model(STAN).save(tmp_path / 'saved')
    assert not [*(tmp_path / 'saved').iterdir()]
    (tmp_path / 'saved/.model.safetensors.part').touch()  # of a process that was killed
    tiny_model(STAN).save(tmp_path / 'saved')
    assert len([*(tmp_path / 'saved').iterdir()]) == 3


def _change(folder: Path, **changes: Any) -> str:
    """Rewrite config.json with dotted keys changed."""
    content = json.loads((folder / 'config.json').read_text())
    for key, value in changes.items():
        *parents, last = key.split('__')
        node = content
        for parent in parents:
            node = node[parent]
        node[last] = value
    (folder / 'config.json').write_text(json.dumps(content))
    return str(folder)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'format': 1}, 'format=1, this mmstan reads format 2; save the model again'),
        ({'surprise': 1}, r"unknown keys \['surprise'\]"),
        ({'task': 'mining'}, "task is 'recognition' or 'retrieval'"),
        ({'class_names': [1]}, 'a list of strings'),
        ({'model__type': 'os.system'}, 'os.system.*is not imported'),
        ({'model__backbone__type': 'subprocess.Popen'}, r'model\.backbone: type=.*not imported'),
        ({'model__backbone__type': 'mmengine.ToyModel'}, 'not imported'),
        ({'model__backbone__tower__pretrained': 'x.pt'}, 'pretrained is not allowed'),
        ({'model__backbone__tower__model': 'hf-hub:a/b'}, 'would read something'),
        ({'model__cls_head__class_names': '/etc/passwd'}, 'would read something'),
        ({'model__custom_imports': {'imports': ['evil']}}, 'custom_imports is not allowed'),
        ({'model__init_cfg': {'type': 'Pretrained'}}, 'init_cfg is not allowed'),
        ({'pipeline__val': [{'type': 'builtins.eval'}]}, 'pipeline.*not imported'),
        ({'requires': ['evil']}, 'requires the module .evil., which would run its code'),
        ({'model__backbone__tower__model__embed_dim': 10**7}, 'values, and the model of its'),
        ({'model__cls_head__num_classes': 3}, 'num_classes=3'),
    ],
)
def test_what_is_hostile_or_foreign_is_refused(
    changes: dict[str, Any], message: str, tiny_model: Models, tmp_path: Path
) -> None:
    tiny_model(STAN).save(tmp_path / 'saved')
    with pytest.raises(ValueError, match=message):
        mmstan.load(_change(tmp_path / 'saved', **changes), device='cpu')


def test_damaged_files_are_one_line(tiny_model: Models, tmp_path: Path) -> None:
    model, folder = tiny_model(STAN), tmp_path / 'saved'
    model.save(folder)
    whole = (folder / 'model.safetensors').read_bytes()
    for content in (whole[:-100], b'', b'\xff' * 64, (10**15).to_bytes(8, 'little') + whole[8:]):
        (folder / 'model.safetensors').write_bytes(content)
        for source in (folder, folder / 'model.safetensors'):
            with pytest.raises(ValueError, match=r'model\.safetensors') as caught:
                load_package(str(source))
            assert '\n' not in str(caught.value)
    for content in (b'{', b'[' * 100_000, b'\xff\xfe', b'[]'):
        (folder / 'config.json').write_bytes(content)
        with pytest.raises(ValueError, match=r'config\.json') as caught:
            load_package(str(folder))
        assert '\n' not in str(caught.value)
    save_file({'a': torch.zeros(1)}, folder / 'other.safetensors')
    with pytest.raises(ValueError, match='has weights, but no config'):
        load_package(str(folder / 'other.safetensors'))


def test_a_module_of_the_users_own_is_named_and_allowed(
    tiny_files: Callable[[str], Files], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'my_neck.py').write_text(
        textwrap.dedent("""
        from mmstan.models import MeanPool
        from mmstan.registry import MODELS

        @MODELS.register_module()
        class MyNeck(MeanPool):
            pass
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    cfg = Config.fromfile(tiny_files('baselines/clip_mean/k400_b16').config)
    __import__('my_neck')
    cfg.model.neck.type = 'mmstan.MyNeck'
    init_default_scope('mmaction')
    description = describe_config(cfg, name='mine')
    try:
        save_package(tmp_path / 'saved', description, MODELS.build(description.model))
        with pytest.raises(ValueError, match=r"allow=\['my_neck'\]"):
            mmstan.load(tmp_path / 'saved', device='cpu')
        model = mmstan.load(tmp_path / 'saved', device='cpu', allow=['my_neck'])
        assert type(model.model.neck).__name__ == 'MyNeck'
    finally:
        MODELS.module_dict.pop('MyNeck')
        sys.modules.pop('my_neck')


def test_functions_cannot_be_saved(tiny_files: Callable[[str], Files]) -> None:
    description = describe_config(Config.fromfile(tiny_files(STAN).config))
    description.pipelines['val'].append(dict(type='Resize', scale=lambda: 1))
    with pytest.raises(ValueError, match=r'pipeline\.val\.\d\.scale is a function'):
        to_json(description)


def test_numbers_in_lists_become_tuples() -> None:
    assert restore_tuples({'a': [1, 2.5], 'b': ['x'], 'c': [[1, 2]], 'd': [], 'e': [True]}) == {
        'a': (1, 2.5),
        'b': ['x'],
        'c': [(1, 2)],
        'd': [],
        'e': [True],
    }


def test_the_header_holds_the_same_config(tiny_model: Models, tmp_path: Path) -> None:
    tiny_model(STAN).save(tmp_path / 'saved')
    with safe_open(tmp_path / 'saved/model.safetensors', 'pt') as file:
        metadata = file.metadata()
    assert metadata['mmstan.config'] + '\n' == (tmp_path / 'saved/config.json').read_text('utf-8')
