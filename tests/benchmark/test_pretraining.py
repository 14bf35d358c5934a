"""The toy of post-pretraining: its stages, its scores and its table, without the training."""

import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.scripts import PROJECT
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mmstan.benchmark import pretraining
from mmstan.benchmark.figures import format_figures
from mmstan.benchmark.zero_shot_shapes import COLUMNS, score_zero_shot

TABLE = PROJECT / 'docs/benchmark/pretraining.csv'


@pytest.mark.parametrize('stem', ['start', *pretraining.SYSTEMS.values()])
def test_systems_are_configs(stem: str) -> None:
    cfg = Config.fromfile(PROJECT / f'configs/quickstart/pretraining_{stem}.py')
    if stem == 'start':
        assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (4, 64)
        return
    assert (cfg.train_cfg.max_epochs, cfg.train_dataloader.batch_size) == (3, 128)
    parts = 32 if stem == 'mug_stan' else None  # one system shows that it trains in parts
    assert (cfg.model.get('micro_batch'), cfg.optim_wrapper.optimizer.lr) == (parts, 2e-4)
    steps = 3 * (3000 // 128)
    assert steps // 2 <= cfg.default_hooks.checkpoint.interval < steps


def test_scores_of_a_model(moving_shapes: Path, tmp_path: Path) -> None:
    data = moving_shapes
    cfg = Config.fromfile(PROJECT / 'configs/quickstart/pretraining_mug.py')
    init_default_scope(cfg.default_scope)
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), tmp_path / 'model.pth')
    own = f'_base_ = {str(PROJECT / "configs/quickstart/pretraining_mug.py")!r}\n'
    (tmp_path / 'config.py').write_text(own + f'data_root = {str(data / "misaligned")!r}\n')
    scores = score_zero_shot(tmp_path / 'config.py', str(tmp_path / 'model.pth'))
    assert [*scores] == [*COLUMNS]
    assert all(0 <= value <= 100 for value in scores.values())
    assert all(1 <= scores[f'{name} MdR'] <= 16 for name in ('aligned', 'misaligned'))
    assert scores['motions'] in [100 * hits / 16 for hits in range(17)]


def write_log(folder: Path, start: str, losses: dict[int, float]) -> None:
    lines = [json.dumps(dict(loss=loss, step=step, time=0.1)) for step, loss in losses.items()]
    path = folder / start / 'vis_data/scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('\n'.join([*lines, '{"retrieval/t2v/R1": 1.0, "step": 3}']) + '\n')


def test_a_resumed_run_must_have_the_same_losses(tmp_path: Path) -> None:
    whole, resumed = tmp_path / 'whole', tmp_path / 'resumed'
    write_log(whole, '1', {5: 3.0, 10: 2.0, 15: 1.0})
    with pytest.raises(RuntimeError, match='and their losses differ'):
        pretraining.compare_logs(whole, resumed)
    write_log(resumed, '1', {10: 2.0})
    with pytest.raises(RuntimeError, match='and their losses differ'):
        pretraining.compare_logs(whole, resumed)
    write_log(resumed, '2', {10: 2.0, 15: 1.0})
    pretraining.compare_logs(whole, resumed)
    write_log(resumed, '3', {15: 1.0000001})
    with pytest.raises(RuntimeError, match='and their losses differ'):
        pretraining.compare_logs(whole, resumed)


def test_the_resumed_run_begins_at_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for steps in (69, 35):
        path = pretraining.OUT / f'mug_stan/iter_{steps}.pth'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    given: list[str] = []
    monkeypatch.setattr(pretraining, 'train_once', lambda *args: given.extend(map(str, args)))
    whole: Future[float] = Future()
    whole.set_result(1.0)
    pretraining.train_second_half(whole, Path('towers.pt'))
    assert Path(given[0]).stem == 'pretraining_mug_stan'
    assert given[1:4] == [f'{pretraining.OUT}/mug_stan_resumed', '--resume', str(path)]


def test_every_stage_comes_once_and_the_table_has_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done: list[str] = []

    def score(config: Path, checkpoint: str) -> dict[str, float]:
        return dict.fromkeys(COLUMNS, 50.0) | {
            'misaligned R@5': 3.125 if 'mug' in config.stem else 9
        }

    fakes: dict[str, Any] = dict(
        generate=lambda **_: done.append('render'),
        write_shards=lambda: done.append('shards'),
        train_start=lambda: done.append('start') or Path('towers.pt'),
        train_system=lambda stem, towers: done.append(stem) or 7.0,
        train_second_half=lambda whole, towers: done.append('resumed'),
        compare_logs=lambda *folders: done.append('compared'),
        find_last_checkpoint=str,
    )
    for name, fake in fakes.items():
        monkeypatch.setattr(pretraining, name, fake)
    monkeypatch.setattr(pretraining, 'score_zero_shot', score)
    with pytest.raises(RuntimeError, match=r'Mug without STAN: misaligned R@5 is 3\.125 %, and'):
        pretraining.run_pretraining()
    monkeypatch.setattr(pretraining, '_CHANCE', {})
    figures = pretraining.run_pretraining()
    rows = ['the start: mean of the frames', 'the start: Mug', *pretraining.SYSTEMS]
    assert [*dict.fromkeys(row for row, *_ in figures)] == rows
    assert ('Mug-STAN', 'training', 7.0, 's') in figures
    stages = ['render', 'shards', 'start', *pretraining.SYSTEMS.values(), 'resumed', 'compared']
    assert sorted(done) == sorted(2 * stages)
    assert done[0] == 'render' and sorted(done[1:3]) == ['shards', 'start']


@pytest.mark.skipif(not TABLE.exists(), reason=f'no {TABLE.name}: make pretraining makes it')
def test_the_page_has_the_measured_table() -> None:
    page = (PROJECT / 'docs/pretraining.md').read_text('utf-8')
    assert format_figures(TABLE, 'pretraining') in page
