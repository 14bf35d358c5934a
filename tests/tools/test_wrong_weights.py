"""Wrong and hostile files of weights at the doors of the commands: one line, no score."""

import warnings
from pathlib import Path

import pytest
import torch
from helpers.weight_doors import DOORS, Doors
from helpers.weight_files import HOSTILE, wrong_for

from mmstan.compat.closed import read_file

KIND = {'retrieve.py': 'retrieval'}
OF_A_MODEL = [door for door in DOORS if door not in ('pretrained', 'convert_checkpoint.py')]


@pytest.fixture(scope='module')
def doors(tmp_path_factory: pytest.TempPathFactory) -> Doors:
    return Doors(tmp_path_factory.mktemp('doors'))


TAKES_NO_WRAPPING = {'--resume', 'test.py'}


def refused(doors: Doors, door: str, file: Path) -> str:
    """The last line, which must name the file."""
    status, said = doors.open(door, file)
    last = said.strip().splitlines()[-1]
    assert status == 1, said[-2000:]
    assert last.startswith('error: ') and str(file) in last
    assert 'Traceback' not in said and 'acc/' not in said and 'R1' not in said
    return last


@pytest.mark.parametrize('door', DOORS)
@pytest.mark.parametrize('name', ['cut archive', 'pickle that calls', 'expanded tensor', 'list'])
def test_hostile_files(name: str, door: str, doors: Doors, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that TorchScript is deprecated
        HOSTILE[name](tmp_path / 'a.pth')
    refused(doors, door, tmp_path / 'a.pth')


@pytest.mark.parametrize('door', OF_A_MODEL)
@pytest.mark.parametrize('wrong', ['other names', 'one is missing', 'one of another shape'])
def test_misfits(wrong: str, door: str, doors: Doors, tmp_path: Path) -> None:
    state = doors.states[KIND.get(door, 'recognition')]
    torch.save({'state_dict': wrong_for(state)[wrong]}, tmp_path / 'a.pth')
    assert 'a.pth does not fit the ' in refused(doors, door, tmp_path / 'a.pth')


@pytest.mark.parametrize('door', sorted({*OF_A_MODEL, 'test.py --unwrap'} - TAKES_NO_WRAPPING))
def test_what_is_wrapped_is_the_same(door: str, doors: Doors, tmp_path: Path) -> None:
    state = {k: torch.randn_like(v) for k, v in doors.states[KIND.get(door, 'recognition')].items()}
    torch.save({'model': {f'module.{k}': v for k, v in state.items()}}, tmp_path / 'a.pth')
    status, said = doors.open(door, tmp_path / 'a.pth')
    assert status == 0, said[-2000:]


@pytest.mark.parametrize('wrapping', ['model', '_orig_mod'])
def test_a_score_of_a_wrapped_file_is_asked_for(
    wrapping: str, doors: Doors, tmp_path: Path
) -> None:
    state = doors.states['recognition']
    compiled = {'state_dict': {f'_orig_mod.{name}': value for name, value in state.items()}}
    torch.save({'model': state} if wrapping == 'model' else compiled, tmp_path / 'a.pth')
    said = refused(doors, 'test.py', tmp_path / 'a.pth')
    assert f"'{wrapping}'" in said and '--unwrap' in said


def test_training_from_a_part_is_asked_for(doors: Doors, tmp_path: Path) -> None:
    state = doors.states['recognition']
    part = {name: value for name, value in state.items() if name.startswith('backbone.')}
    torch.save(part, tmp_path / 'a.pth')
    assert "allow_missing=['cls_head.*']" in refused(doors, 'load_from', tmp_path / 'a.pth')
    options = f'load_from={tmp_path}/a.pth allow_missing=["cls_head.*"]'
    doors.command('train', 'recognition', options=options)
    with pytest.raises(SystemExit, match='does not fit'):  # a test is never partial
        doors.command('test', 'recognition', options=options)


def test_a_damaged_cache_is_made_again(doors: Doors, tmp_path: Path) -> None:
    doors.command('retrieve', 'retrieval', '--query', 'a clip')
    cache = doors.folder / 'retrieval/features.pth'
    captions, video = (read_file(cache)[name] for name in ('captions', 'video'))
    for name in ('cut archive', 'expanded tensor', 'list', 'state dict that is a list'):
        HOSTILE[name](tmp_path / f'{name}.pth')
        status, said = doors.open('features.pth', tmp_path / f'{name}.pth')
        assert status == 0 and f'{cache}' in said and ': the features are made again' in said
        assert read_file(cache)['captions'] == captions
        assert torch.equal(read_file(cache)['video'][0], video[0])
    status, said = doors.open('features.pth', cache.rename(cache.with_name('kept.pth')))
    assert status == 0 and 'made again' not in said


@pytest.mark.parametrize('door', ['test.py', 'visualize_features.py', 'retrieve.py'])
def test_random_weights_are_refused(door: str, doors: Doors) -> None:
    kind = KIND.get(door, 'recognition')
    text = 'text_tower' if kind == 'retrieval' else 'cls_head.text_tower'
    options = f'model.backbone.tower.pretrained=None model.{text}.pretrained=None'
    arguments = ('--query', 'a') if kind == 'retrieval' else ()
    with pytest.raises(SystemExit, match=r'^error: .*: the weights would be random'):
        doors.command(door.removesuffix('.py'), kind, *arguments, options=options)
