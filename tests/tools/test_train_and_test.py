import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.scripts import script
from helpers.tiny_runs import RandomClips, stock_config
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.fileio import load
from mmengine.registry import init_default_scope

from mmstan.benchmark.own_process import find_last_error

PROJECT = Path(__file__).parents[2]
CLIP_MEAN = 'configs/baselines/clip_mean/k400_b16.py'


train, test = script('train'), script('test')
_run = itertools.count()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """What the command line is put into: a run of MMAction2 without a work dir."""
    cfg = stock_config(tmp_path, auto_scale_lr=dict(enable=False, base_batch_size=128))
    cfg.pop('work_dir')
    return cfg


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    (tmp_path / 'epoch_3.pth').touch()
    return str(tmp_path / 'epoch_3.pth')


@pytest.fixture
def merge(config: Config, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Put arguments into the config, as the script of that name does."""

    def run(tool: ModuleType, *arguments: str) -> Config:
        monkeypatch.setattr(sys, 'argv', ['tool.py', CLIP_MEAN, *arguments])
        return tool.merge_args(config, tool.parse_args())

    return run


# --- train.py ---


def test_train_without_options(merge: Callable[..., Config], config: Config) -> None:
    before = config.to_dict()
    after = merge(train).to_dict()
    assert after.pop('work_dir') == 'work_dirs/baselines/clip_mean/k400_b16'
    assert after.pop('launcher') == 'none'
    assert after == before


@pytest.mark.parametrize('tool', [train, test])
def test_work_dir(tool: ModuleType, merge: Callable[..., Config], config: Config) -> None:
    config.work_dir = 'of/the/config'
    assert merge(tool).work_dir == 'of/the/config'
    assert merge(tool, '--work-dir', 'of/the/line').work_dir == 'of/the/line'


@pytest.mark.parametrize(
    ('arguments', 'dtype', 'loss_scale'),
    [
        (['--amp'], 'float16', 'dynamic'),
        (['--amp', 'float16'], 'float16', 'dynamic'),
        (['--amp', 'bfloat16'], 'bfloat16', dict(enabled=False)),
    ],
)
def test_amp(
    arguments: list[str], dtype: str, loss_scale: Any, merge: Callable[..., Config], config: Config
) -> None:
    optimizer = config.optim_wrapper.optimizer
    wrapper = merge(train, *arguments).optim_wrapper
    assert wrapper == dict(
        type='AmpOptimWrapper', dtype=dtype, loss_scale=loss_scale, optimizer=optimizer
    )


def test_amp_keeps_what_the_config_says(merge: Callable[..., Config], config: Config) -> None:
    config.optim_wrapper.update(type='AmpOptimWrapper', loss_scale=512.0)
    wrapper = merge(train, '--amp').optim_wrapper
    assert (wrapper.dtype, wrapper.loss_scale) == ('float16', 512.0)
    with pytest.raises(ValueError, match=r'dtype=float16: write --amp float16'):
        merge(train, '--amp', 'bfloat16')
    config.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(ValueError, match=r'would replace optim_wrapper\.type=ApexOptimWrapper'):
        merge(train, '--amp', 'float16')


def test_resume(merge: Callable[..., Config], checkpoint: str) -> None:
    cfg = merge(train, '--resume')
    assert (cfg.resume, cfg.get('load_from')) == (True, None)
    cfg = merge(train, '--resume', checkpoint)
    assert (cfg.resume, cfg.load_from) == (True, checkpoint)
    cfg = merge(train, '--resume', 'https://somewhere/epoch_3.pth')
    assert cfg.load_from == 'https://somewhere/epoch_3.pth'
    cfg = merge(train, '--resume', '--cfg-options', 'load_from=start.pth')  # of a fresh start
    assert (cfg.resume, cfg.load_from) == (True, 'start.pth')
    with pytest.raises(ValueError, match=r'load_from=start\.pth name two checkpoints'):
        merge(train, '--resume', checkpoint, '--cfg-options', 'load_from=start.pth')


@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [(train, ['--resume', 'nowhere.pth']), (test, ['nowhere.pth'])],
)
def test_missing_checkpoint(
    tool: ModuleType, arguments: list[str], merge: Callable[..., Config], capsys: Any
) -> None:
    with pytest.raises(SystemExit) as error:
        merge(tool, *arguments)
    assert error.value.code == 2
    assert 'there is no checkpoint nowhere.pth' in capsys.readouterr().err


def test_options_hold_for_trackers_and_compiling(
    merge: Callable[..., Config], config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('mmstan.engine.trackers.find_spec', lambda name: name)
    config.visualizer = dict(type='mmstan.VideoVisualizer', vis_backends=[])
    cfg = merge(train, '--track', 'mlflow', '--cfg-options', 'work_dir=/tmp/other')
    assert cfg.visualizer.vis_backends[0].tracking_uri == 'sqlite:////tmp/other/mlflow.db'
    arguments = ['--compile', '--launcher', 'pytorch', '--cfg-options']
    arguments += ['runner_type=FlexibleRunner', 'strategy.type=mmstan.FullyShard']
    with pytest.raises(ValueError, match=r'strategy mmstan\.FullyShard does not compile'):
        merge(train, *arguments)


def test_auto_scale_lr(merge: Callable[..., Config], config: Config) -> None:
    assert merge(train, '--auto-scale-lr').auto_scale_lr == dict(enable=True, base_batch_size=128)
    for lacking in (None, dict(enable=False)):
        config.auto_scale_lr = lacking
        with pytest.raises(ValueError, match=f'{CLIP_MEAN} has no auto_scale_lr.base_batch_size'):
            merge(train, '--auto-scale-lr')
    config.pop('auto_scale_lr')
    with pytest.raises(ValueError, match=f'{CLIP_MEAN} has no auto_scale_lr.base_batch_size'):
        merge(train, '--auto-scale-lr')


def test_seed(merge: Callable[..., Config], config: Config) -> None:
    config.randomness = dict(seed=7, diff_rank_seed=True)
    kept = dict(seed=7, diff_rank_seed=True)
    assert merge(train).randomness == kept
    assert merge(train, '--deterministic').randomness == dict(kept, deterministic=True)
    config.randomness.pop('deterministic')
    assert merge(train, '--seed', '0').randomness == dict(kept, seed=0)


def test_seed_without_randomness(merge: Callable[..., Config], config: Config) -> None:
    config.pop('randomness')
    assert merge(train, '--seed', '3').randomness == dict(seed=3)


def test_no_validate(merge: Callable[..., Config]) -> None:
    cfg = merge(train, '--no-validate')
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert cfg.train_dataloader is not None


@pytest.mark.parametrize('tool', [train, test])
def test_config_options_have_the_last_word(
    tool: ModuleType, merge: Callable[..., Config], config: Config
) -> None:
    options = ['work_dir=elsewhere', 'optim_wrapper.optimizer.lr=0.5', 'randomness.seed=3']
    cfg = merge(tool, '--work-dir', 'here', '--cfg-options', *options)
    assert cfg.work_dir == 'elsewhere'
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.5)
    assert cfg.randomness.seed == 3


@pytest.mark.parametrize('tool', [train, test])
def test_launcher(
    tool: ModuleType, merge: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    for spelling in ('--local_rank', '--local-rank'):
        assert merge(tool, '--launcher', 'pytorch', f'{spelling}=1').launcher == 'pytorch'
        assert os.environ.pop('LOCAL_RANK') == '1'
    os.environ['LOCAL_RANK'] = '3'  # torchrun's own stays
    merge(tool)
    assert os.environ['LOCAL_RANK'] == '3'


# --- test.py ---


def test_checkpoint(merge: Callable[..., Config], config: Config, checkpoint: str) -> None:
    config.load_from, config.resume = 'of_the_config.pth', True
    cfg = merge(test)
    assert (cfg.load_from, cfg.resume) == ('of_the_config.pth', False)
    cfg = merge(test, checkpoint)
    assert (cfg.load_from, cfg.resume) == (checkpoint, False)
    cfg = merge(test, '--cfg-options', 'load_from=start.pth')
    assert cfg.load_from == 'start.pth'
    with pytest.raises(ValueError, match=r'epoch_3\.pth and .*=start\.pth name two checkpoints'):
        merge(test, checkpoint, '--cfg-options', 'load_from=start.pth')


@pytest.mark.parametrize('several', [False, True])
def test_dump(several: bool, merge: Callable[..., Config], config: Config) -> None:
    evaluator = dict(type='AccMetric')
    config.test_evaluator = [evaluator, dict(type='ConfusionMatrix')] if several else evaluator
    cfg = merge(test, '--dump', 'predictions.pkl')
    kinds = [each['type'] for each in cfg.test_evaluator]
    assert kinds == ['AccMetric', *['ConfusionMatrix'][: int(several)], 'DumpResults']
    assert cfg.test_evaluator[-1]['out_file_path'] == 'predictions.pkl'


def test_dump_to_another_format(merge: Callable[..., Config], capsys: Any) -> None:
    with pytest.raises(SystemExit):
        merge(test, '--dump', 'predictions.json')
    assert 'must end in .pkl' in capsys.readouterr().err


def dumped_scores(
    config_file: Path, monkeypatch: pytest.MonkeyPatch, *checkpoint: str
) -> torch.Tensor:
    """Scores (videos, classes) that ``tools/test.py`` dumps."""
    dump = config_file.with_suffix('.pkl')
    # MMEngine tells runs by their second, which may be the same.
    name = f'experiment_name=dumped_{next(_run)}'
    arguments = [config_file, *checkpoint, '--dump', dump, '--cfg-options', name]
    monkeypatch.setattr(sys, 'argv', ['test.py', *map(str, arguments)])
    test.main()
    return torch.stack([sample['pred_score'] for sample in load(dump)])


def test_zero_shot_is_not_random(zero_shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = Config.fromfile(zero_shot)
    init_default_scope('mmaction')
    model = MODELS.build(cfg.model)
    model.init_weights()
    batch = pseudo_collate([RandomClips()[i] for i in range(4)])
    with torch.no_grad():
        samples = model.eval().test_step(batch)
    expected = torch.stack([sample.pred_score for sample in samples])
    torch.testing.assert_close(dumped_scores(zero_shot, monkeypatch), expected)
    # With a checkpoint its weights count, and the pretrained ones are not even looked for.
    state = {key: torch.randn_like(value) for key, value in model.state_dict().items()}
    torch.save(dict(state_dict=state), zero_shot.with_name('epoch_1.pth'))
    zero_shot.with_name('clip.pt').unlink()
    model.load_state_dict(state)
    with torch.no_grad():
        samples = model.test_step(batch)
    other = torch.stack([sample.pred_score for sample in samples])
    assert (other - expected).abs().max() > 1e-3
    scores = dumped_scores(zero_shot, monkeypatch, str(zero_shot.with_name('epoch_1.pth')))
    torch.testing.assert_close(scores, other)


def test_weights_that_are_missing(zero_shot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zero_shot.with_name('clip.pt').unlink()
    with pytest.raises(SystemExit, match=r"^error: pretrained='.*clip\.pt': there is no such file"):
        dumped_scores(zero_shot, monkeypatch)


# --- as commands ---


def run(*command: str, cwd: Path = PROJECT, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(PROJECT), os.environ.get('PYTHONPATH', '')])
    env = dict(os.environ, PYTHONPATH=path, OMP_NUM_THREADS='1', **environment)
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120)


def test_training_without_data_says_what_to_prepare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'configs').symlink_to(PROJECT / 'configs')  # and no data/ beside it
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['train.py', CLIP_MEAN])
    with pytest.raises(SystemExit, match=r'^error: .*k400_b16\.py needs data') as end:
        train.main()
    for name in (
        'data/kinetics400/kinetics400_train_list_videos.txt',
        'data/kinetics400/kinetics400_val_list_videos.txt',
        'data/kinetics400/videos_train',
        'data/kinetics400/videos_val',
        'data/kinetics400/label_map_k400.txt',
        'docs/data.md',
    ):
        assert name in str(end.value)
    assert not (tmp_path / 'work_dirs').exists()


@pytest.fixture
def one_error(tmp_path: Path) -> Path:
    """A config with a misspelled argument."""
    path = tmp_path / 'misspelled.py'
    path.write_text("model = dict(type='mmstan.MeanPool', dmi=1)\ntest_cfg = dict()\n")
    return path


@pytest.mark.parametrize('tool', [train, test])
def test_errors_are_one_line(
    tool: ModuleType, one_error: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, 'argv', ['tool.py', str(one_error)])
    with pytest.raises(SystemExit) as error:
        tool.main()
    assert str(error.value).startswith("error: model: mmstan.MeanPool has no argument 'dmi'")
    assert '\n' not in str(error.value)
    monkeypatch.setenv('MMSTAN_TRACEBACK', '1')
    with pytest.raises(ValueError, match="no argument 'dmi'"):
        tool.main()


@pytest.mark.parametrize(
    ('name', 'arguments'),
    [
        ('dist_train.sh', []),
        ('dist_train.sh', ['config.py']),
        ('dist_test.sh', []),
        ('dist_test.sh', ['config.py', 'checkpoint.pth']),
        ('slurm_train.sh', ['partition', 'job']),
        ('slurm_test.sh', ['partition', 'job']),
    ],
)
def test_usage(name: str, arguments: list[str]) -> None:
    result = run('bash', f'tools/{name}', *arguments)
    assert result.returncode == 2
    assert f'bash tools/{name} ' in result.stdout
    assert result.stderr == ''


@pytest.mark.parametrize(
    ('name', 'arguments', 'expected'),
    [
        (
            'dist_train.sh',
            ['my config.py', '2', '--amp', 'bfloat16'],
            'train.py|my config.py|--launcher|pytorch|--amp|bfloat16',
        ),
        ('dist_test.sh', ['c.py', '2'], 'test.py|c.py|--launcher|pytorch'),
        (
            'dist_test.sh',
            ['c.py', 'my epoch.pth', '2', '--dump', 'a.pkl'],
            'test.py|c.py|my epoch.pth|--launcher|pytorch|--dump|a.pkl',
        ),
    ],
)
def test_distributed_command(
    name: str, arguments: list[str], expected: str, tmp_path: Path
) -> None:
    python = tmp_path / 'python'  # says what it is asked to run
    python.write_text('#!/bin/sh\nfor a in "$@"; do printf "%s|" "$a"; done\n')
    python.chmod(0o755)
    path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
    environment = dict(PATH=path, VIRTUAL_ENV=str(tmp_path), MASTER_PORT='1234')
    result = run('bash', f'tools/{name}', *arguments, **environment)
    assert result.returncode == 0, result.stderr
    assert '-m|torch.distributed.run|--nnodes=1|--node_rank=0|--nproc_per_node=2|' in result.stdout
    assert '|--master_port=1234|' in result.stdout
    assert result.stdout.endswith(f'tools/{expected}|')


@pytest.mark.parametrize(
    ('text', 'error'),
    [
        ('KeyError: 1\nmine.OddError: 2\n  frame #47: _start\n', 'mine.OddError: 2'),
        ('loss 1\nerror: no such file\n\ntrain.py failed', 'error: no such file'),
        ('KeyError: 1\n    assert x\nAssertionError', 'AssertionError'),
        ('Segmentation fault', 'Segmentation fault'),
        ('', 'killed'),
    ],
)
def test_the_line_that_says_why_a_program_failed(text: str, error: str) -> None:
    assert find_last_error(text) == error


def test_slurm_command_of_a_test(tmp_path: Path) -> None:
    srun = tmp_path / 'srun'  # says what it is asked to run
    srun.write_text('#!/bin/sh\nfor a in "$@"; do printf "%s|" "$a"; done\n')
    srun.chmod(0o755)
    path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
    arguments = ['part', 'job', 'c.py', 'my epoch.pth', '--dump', 'a.pkl']
    environment = dict(PATH=path, VIRTUAL_ENV=str(tmp_path), GPUS='16')
    result = run('bash', 'tools/slurm_test.sh', *arguments, **environment)
    assert result.returncode == 0, result.stderr
    assert '--ntasks=16|--ntasks-per-node=8|' in result.stdout
    assert result.stdout.endswith('tools/test.py|c.py|--launcher|slurm|my epoch.pth|--dump|a.pkl|')


def test_a_start_file_that_is_gone_is_not_missed_once_there_is_a_checkpoint(
    tmp_path: Path,
) -> None:
    train = script('train')
    cfg = Config(dict(load_from='gone.pth', work_dir=str(tmp_path)))
    args = SimpleNamespace(resume='auto')
    with train._without_start_file(cfg, args):
        assert cfg.load_from == 'gone.pth'
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    with train._without_start_file(cfg, args):
        assert cfg.load_from is None
    assert cfg.load_from == 'gone.pth'
