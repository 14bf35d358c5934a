"""State dicts that fit, wrapped or not, and the one line that says what does not."""

import copy
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import TOWER, WORDS, reference
from helpers.tiny_runs import stock_runner
from helpers.weight_files import HOSTILE, wrong_for
from mmaction.apis import init_recognizer
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn

from mmstan.compat.state_dicts import find_state_dict, fit_state
from mmstan.methods.stan import STAN
from mmstan.methods.xclip.multi_frame_integration import MultiFrameIntegration

MODEL = dict(
    type='Recognizer3D',
    backbone=dict(type='mmstan.FrameEncoder', tower=TOWER),
    neck=dict(type='mmstan.MeanPool'),
    cls_head=dict(
        type='mmstan.TextHead',
        class_names=['a', 'b'],
        text_tower=dict(type='mmstan.TextTower', model=WORDS),
    ),
)


class Video(nn.Module):
    """A model with a part of mmstan."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = STAN(TOWER, levels=(2, 3))
        self.head = nn.Linear(3, 2)


@pytest.fixture(scope='module')
def video() -> Video:
    torch.manual_seed(0)
    return Video()


@pytest.fixture(scope='module')
def state(video: Video) -> dict[str, Tensor]:
    return {name: torch.randn_like(tensor) for name, tensor in video.state_dict().items()}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged."""
    lines: list[str] = []
    for place in ('mmstan.compat.state_dicts', 'mmstan.models.towers.base'):
        monkeypatch.setattr(f'{place}.print_log', lambda line, *_: lines.append(line))
    return lines


def averaged(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {'steps': torch.tensor(3), **{f'module.{k}': v for k, v in state.items()}}


WRAPPINGS = {
    'plain': lambda state: state,
    'state_dict': lambda state: {'state_dict': state, 'epoch': 3},
    'model': lambda state: {'model': state, 'optimizer': {}},
    'model in state_dict': lambda state: {'state_dict': {'model': state}},
    'ddp': lambda state: {f'module.{k}': v for k, v in state.items()},
    'compiled': lambda state: {f'_orig_mod.{k}': v for k, v in state.items()},
    'ddp, compiled, inside': lambda state: {
        f'module.{k.replace("backbone.", "backbone._orig_mod.")}': v for k, v in state.items()
    },
    'lightning': lambda state: {'state_dict': {f'model.{k}': v for k, v in state.items()}},
    'averaged alone': lambda state: {'ema_state_dict': averaged(state)},
    'averaged by MMEngine': lambda state: {
        'state_dict': state,
        'ema_state_dict': averaged({k: v + 1 for k, v in state.items()}),
    },
    'averaged by timm': lambda state: {'state_dict_ema': state},
    'half': lambda state: {'model': {k: v.half() for k, v in state.items()}},
}


@pytest.mark.parametrize('wrapping', WRAPPINGS)
def test_known_wrappings_are_taken_off(
    wrapping: str, video: Video, state: dict[str, Tensor]
) -> None:
    found = find_state_dict(WRAPPINGS[wrapping](state), 'a.pth')
    model = copy.deepcopy(video)
    model.load_state_dict(fit_state(model, found, source='a.pth'))
    loaded = model.state_dict()
    for name, value in state.items():
        expected = value.half().float() if wrapping == 'half' else value
        assert torch.equal(loaded[name], expected), name


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ('other names', r', 0 of (\d+) tensors do; \1 missing: backbone\S+, .*; \1 left over: enc'),
        ('one is missing', r'; 1 missing: backbone\.tower\S+; take the config'),
        ('one is left over', r'; 1 left over: extra; take the config'),
        ('one of another shape', r'; 1 of another shape: backbone\S+ \(\d+x.* for \d+x.*\); take'),
        ('one of integers', r'; 1 of another type: backbone\S+ \(int64 for float32\); take'),
        ('one is a list', r'; 1 of another type: backbone\S+ \(a list\); take'),
        ('one with nan', r'; 1 with NaN or infinity: backbone\S+; take'),
        ('one is transposed', r'; 1 of another shape: backbone\S+ \(\d+ for \d+x.*\); take'),
    ],
)
def test_a_misfit_is_one_line_and_changes_nothing(
    wrong: str, said: str, video: Video, state: dict[str, Tensor]
) -> None:
    before = copy.deepcopy(video.state_dict())
    with pytest.raises(ValueError, match=said) as error:
        fit_state(video, wrong_for(state)[wrong], source='a.pth')
    assert str(error.value).startswith('checkpoint a.pth does not fit the Video, ')
    assert '\n' not in str(error.value) and len(str(error.value)) < 1200
    assert all(torch.equal(before[name], value) for name, value in video.state_dict().items())


def test_two_of_theirs_for_one_own_are_refused(video: Video, state: dict[str, Tensor]) -> None:
    doubled = {**state, 'module.head.bias': torch.zeros(2)}
    with pytest.raises(ValueError, match=r'1 left over: module\.head\.bias'):
        fit_state(video, doubled, source='a.pth')


@pytest.mark.parametrize(
    ('content', 'said'),
    [
        ([1], 'a.pth holds a list where a dict of tensors belongs'),
        ({'state_dict': [1]}, 'a.pth holds a list where a dict of tensors belongs'),
        ({'model': {}, 'epoch': 1}, 'a.pth holds no tensors, but nothing'),
        ({'epoch': 1}, 'a.pth holds no tensors, but epoch'),
    ],
)
def test_no_state_dict(content: Any, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        find_state_dict(content, 'a.pth')


# --- from a part ---


def test_what_may_be_missing_is_kept(
    video: Video, state: dict[str, Tensor], said: list[str]
) -> None:
    part = {k: v for k, v in state.items() if not k.startswith('head.')} | {
        'old.bias': torch.ones(1)
    }
    part['head.weight'] = torch.ones(7, 3)
    fitted = fit_state(video, part, source='a.pth', allow_missing=['head.*', 'old.*'])
    assert list(fitted) == list(video.state_dict())
    for name, value in fitted.items():
        expected = video.state_dict()[name] if name.startswith('head.') else state[name]
        assert torch.equal(value, expected)
    count = len(state)
    assert f'a.pth: {count - 2} of {count} tensors fit; as allow_missing says' in said[-1]


def test_what_is_not_named_must_fit(video: Video, state: dict[str, Tensor]) -> None:
    part = {k: v for k, v in state.items() if not k.startswith('head.')}
    advice = r"2 missing: head.bias, head.weight; .* allow_missing=\['head\.\*'\]"
    with pytest.raises(ValueError, match=advice):
        fit_state(video, part, source='a.pth', allow_missing=[])
    with pytest.raises(ValueError, match='2 missing') as error:
        fit_state(video, part, source='a.pth')  # a test
    assert 'allow_missing' not in str(error.value)


def test_a_fit_of_nothing_is_an_error_whatever_may_be_missing(
    video: Video, state: dict[str, Tensor]
) -> None:
    with pytest.raises(ValueError, match=f'0 of {len(state)} tensors do'):
        fit_state(video, wrong_for(state)['other names'], source='a.pth', allow_missing=['*'])


def test_tables_that_modules_stretch_fit() -> None:
    three = MultiFrameIntegration(16, heads=2, layers=1, num_frames=3)
    six = MultiFrameIntegration(16, heads=2, layers=1, num_frames=6, time_interpolation='linear')
    assert fit_state(six, three.state_dict(), source='a.pth')['positions'].shape == (1, 6, 16)
    strict = MultiFrameIntegration(16, heads=2, layers=1, num_frames=6)
    with pytest.raises(ValueError, match=r'checkpoint a\.pth does not fit: positions'):
        fit_state(strict, three.state_dict(), source='a.pth')
    kept = fit_state(strict, three.state_dict(), source='a.pth', allow_missing=['positions'])
    assert torch.equal(kept['positions'], strict.positions)


def test_a_frozen_tower_that_is_left_out_is_read_from_its_own_file(
    tmp_path: Path, said: list[str]
) -> None:
    weights = reference(WORDS).state_dict()
    torch.save(weights, tmp_path / 'clip.pt')
    tower = dict(type='mmstan.ImageTower', model=WORDS, pretrained=str(tmp_path / 'clip.pt'))
    state = STAN(tower, levels=(2, 3)).state_dict()
    part = {name: value for name, value in state.items() if not name.startswith('tower.')}
    model = STAN(dict(tower, frozen=True), levels=(2, 3))
    fitted = fit_state(model, part, source='a.pth')
    for name, value in fitted.items():
        expected = weights[name[6:]] if name.startswith('tower.') else state[name]
        assert torch.equal(value, expected), name
    count = len(state) - len(part)
    assert f'{count} of frozen towers are read from {tmp_path}/clip.pt' in said[-1]
    with pytest.raises(ValueError, match=f'; {count} missing: tower'):  # it may have been trained
        fit_state(STAN(tower, levels=(2, 3)), part, source='a.pth')


def test_one_pattern_is_no_list_of_letters(video: Video, state: dict[str, Tensor]) -> None:
    part = {name: value for name, value in state.items() if not name.startswith('head.')}
    fitted = fit_state(video, part, source='a.pth', allow_missing='head.*')
    assert all(torch.equal(fitted[name], value) for name, value in part.items())
    part.popitem()
    with pytest.raises(ValueError, match='; 1 missing: backbone'):
        fit_state(video, part, source='a.pth', allow_missing='head.*')


# --- MMEngine's and MMAction2's doors ---


def test_init_recognizer_takes_a_checkpoint_whole(tmp_path: Path) -> None:
    config = Config(dict(model=MODEL))
    model = init_recognizer(config, None, device='cpu')
    state = {name: torch.randn_like(value) for name, value in model.state_dict().items()}
    torch.save({'model': state}, tmp_path / 'a.pth')
    loaded = init_recognizer(config, str(tmp_path / 'a.pth'), device='cpu').state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    torch.save({'state_dict': wrong_for(state)['other names']}, tmp_path / 'a.pth')
    with pytest.raises(
        ValueError, match=rf'checkpoint {tmp_path}/a\.pth does not fit the Recognizer3D'
    ):
        init_recognizer(config, str(tmp_path / 'a.pth'), device='cpu')
    HOSTILE['list'](tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth holds a list'):
        init_recognizer(config, str(tmp_path / 'a.pth'), device='cpu')


def test_random_weights_are_said(said: list[str]) -> None:
    init_recognizer(Config(dict(model=MODEL)), None, device='cpu')
    for tower in ('ImageTower', 'TextTower'):
        assert f'{tower} is put to use with random weights: give a checkpoint' in ' '.join(said)


def test_stock_models_are_loaded_as_before(work_dir: Path, tmp_path: Path) -> None:
    torch.save({'state_dict': {'other': torch.ones(1)}}, tmp_path / 'a.pth')
    runner = stock_runner(work_dir, load_from=str(tmp_path / 'a.pth'))
    runner.load_or_resume()
    runner = stock_runner(work_dir, load_from=str(tmp_path / 'a.pth'))
    runner.whole_checkpoints = True  # as in the project's own commands
    with pytest.raises(ValueError, match='does not fit the Recognizer3D, 0 of'):
        runner.load_or_resume()


@pytest.mark.parametrize('form', ['plain', 'model', 'compiled'])
def test_averaged_weights_of_the_hook_are_the_checkpoint_s(
    form: str, work_dir: Path, tmp_path: Path
) -> None:
    """A test swaps the hook's average in, which must be what was loaded."""
    runner = stock_runner(work_dir, custom_hooks=[dict(type='EMAHook')])
    runner.whole_checkpoints = True
    state = {
        k: torch.rand_like(v) if v.is_floating_point() else v
        for k, v in runner.model.state_dict().items()
    }
    torch.save(WRAPPINGS[form](state), tmp_path / 'a.pth')
    runner._load_from = str(tmp_path / 'a.pth')
    runner.call_hook('before_run')
    runner.load_or_resume()
    hook = next(hook for hook in runner.hooks if isinstance(hook, EMAHook))
    assert isinstance(hook.ema_model, ExponentialMovingAverage)
    for model in (runner.model, hook.ema_model.module):
        assert all(torch.equal(model.state_dict()[k], v) for k, v in state.items())


def test_a_run_goes_on_only_from_a_run(work_dir: Path, tmp_path: Path) -> None:
    runner = stock_runner(work_dir)
    torch.save({'state_dict': runner.model.state_dict()}, tmp_path / 'a.pth')
    runner = stock_runner(work_dir, load_from=str(tmp_path / 'a.pth'), resume=True)
    with pytest.raises(ValueError, match=r"a\.pth has no 'meta': this run cannot go on from it"):
        runner.load_or_resume()
    broken = OrderedDict(state_dict=runner.model.state_dict(), meta='a text')
    torch.save(broken, tmp_path / 'a.pth')
    runner = stock_runner(work_dir, load_from=str(tmp_path / 'a.pth'), resume=True)
    with pytest.raises(ValueError, match=r'a\.pth cannot be resumed: TypeError'):
        runner.load_or_resume()
