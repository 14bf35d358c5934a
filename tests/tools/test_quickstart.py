import hashlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.scripts import script
from helpers.tiny_runs import stock_runner
from mmengine.config import Config

from mmstan.benchmark import runs
from mmstan.benchmark.quickstart import SYSTEMS
from mmstan.config.paths import find_shipped


def test_progress_is_found_in_a_real_log(work_dir: Path) -> None:
    """MMEngine's lines become plain ones: every step of training that is logged, and the result."""
    runner = stock_runner(work_dir, **{'default_hooks.logger': dict(type='LoggerHook', interval=1)})
    runner.train()
    log = next(work_dir.glob('*/*.log')).read_text()
    shown = [line for line in map(runs.show_progress, log.splitlines()) if line]
    assert len(shown) == len(runner.train_dataloader) + 1
    assert all('loss' in line for line in shown[:-1])
    accuracy = runner.message_hub.get_scalar('val/acc/top1').current()
    assert f'{100 * accuracy:.1f} %' in shown[-1]


def test_other_lines_are_not_shown() -> None:
    progress = runs.show_progress
    assert progress('2026/01/01 00:00:00 - mmengine - INFO - Saving checkpoint at 1 epochs') is None


def test_retrieval_shows_its_recall() -> None:
    line = 'Epoch(test) [4/4]    retrieval/t2v/R1: 51.5625  retrieval/t2v/R5: 99.0  time: 0.1'
    assert '51.6 %' in runs.show_progress(line)


def test_two_processes_do_not_train_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work: list[Path] = []

    def train(config: Path, work_dir: Path, **_: object) -> dict[str, float]:
        at_work.append(work_dir)
        time.sleep(0.2)
        found = dict(others=float(at_work.count(work_dir) - 1))
        at_work.remove(work_dir)
        return found

    monkeypatch.setattr(runs, '_train_and_test', train)
    with ThreadPoolExecutor() as pool:
        call = (runs.train_and_test, Path('a.py'), tmp_path / 'v1.0_a')
        calls = [pool.submit(*call) for _ in range(3)]
    assert [call.result()['others'] for call in calls] == [0, 0, 0]


def test_figures_of_the_last_test(tmp_path: Path) -> None:
    for stamp, share in (('20260101_000000', 10.0), ('20260101_000001', 20.0)):
        (tmp_path / stamp / 'vis_data').mkdir(parents=True)
        (tmp_path / stamp / f'{stamp}.json').write_text(f'{{"retrieval/t2v/R1": {share}}}')
        (tmp_path / stamp / 'vis_data' / f'{stamp}.json').write_text('{"loss": 1}')
    assert runs.read_retrieval_figures(tmp_path) == {'t2v/R1': 20.0}


@pytest.mark.parametrize('stem', [*SYSTEMS.values(), 'retrieval_stan'])
def test_systems_are_configs(stem: str) -> None:
    assert (find_shipped('configs') / f'quickstart/{stem}.py').is_file()


def test_a_result_of_another_config_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    (tmp_path / 'manifest.json').write_text('{}')
    config, work_dir = tmp_path / 'config.py', tmp_path / 'work_dir'
    config.write_text(f'data_root = {str(tmp_path)!r}')

    def fake_run(tool: str, *args: str) -> None:
        ran.append(tool)
        (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))

    monkeypatch.setattr(runs, 'run', fake_run)
    monkeypatch.setattr(runs, 'read_predictions', lambda _: (np.array([0, 1]), np.array([0, 0])))
    figures = runs.train_and_test(config, work_dir)
    assert (figures['top-1'], figures['pair']) == (0.5, 1.0)
    runs.train_and_test(config, work_dir)
    assert ran == ['train.py', 'test.py']  # done once
    runs.train_and_test(config, work_dir, '--seed', '1')
    (tmp_path / 'manifest.json').write_text('{"version": 2}')
    runs.train_and_test(config, work_dir, '--seed', '1')
    assert ran == ['train.py', 'test.py'] * 3
    for weights in (b'a', b'a', b'b'):  # a run that starts from a file, which is written again
        (tmp_path / 'start.pt').write_bytes(weights)
        runs.train_and_test(config, work_dir, '--cfg-options', f'load_from={tmp_path}/start.pt')
    assert ran == ['train.py', 'test.py'] * 5


def test_files_that_a_run_starts_from_count_with_their_contents(tmp_path: Path) -> None:
    files = [tmp_path / f'{name}.pth' for name in 'abcd']
    for file in files:
        file.write_text(file.stem)
    a, b, c, d = map(str, files)
    model = dict(backbone=dict(tower=dict(pretrained=a)), head=[dict(pretrained='openai')])
    cfg = Config(dict(model=model, load_from=b))
    found = runs.digest_start_files(cfg, '--resume', c, '--cfg-options', f'x.y={d}', 'z=gone.pth')
    assert found == [hashlib.sha256(name.encode()).hexdigest() for name in 'abcd']


def test_seconds_of_a_stopped_training_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, left = [0.0], [100.0, 7.0]
    (tmp_path / 'manifest.json').write_text('{}')
    config, work_dir = tmp_path / 'config.py', tmp_path / 'work_dir'
    config.write_text(f'data_root = {str(tmp_path)!r}')

    def fake_run(tool: str, *args: str) -> None:
        clock[0] += left.pop(0)
        if left:
            raise SystemExit('stopped')

    monkeypatch.setattr(runs, 'run', fake_run)
    monkeypatch.setattr(runs, 'time', SimpleNamespace(time=lambda: clock[0]))
    with pytest.raises(SystemExit, match='stopped'):
        runs.train_once(config, work_dir)
    assert runs.train_once(config, work_dir) == 107
    assert runs.train_once(config, work_dir) == 107  # it is finished


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--seed', '0'], '--seed is an option of detection'),
        (['pretraining', '--seed', '1'], '--seed is an option of detection'),
        (['--docs'], '--docs is an option of pretraining'),
        (['detection', '--docs'], '--docs is an option of pretraining'),
    ],
)
def test_options_of_another_task(
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, 'argv', ['quickstart.py', *options])
    with pytest.raises(SystemExit):
        script('quickstart').parse_args()
    assert message in capsys.readouterr().err
