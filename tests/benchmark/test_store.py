"""What the benchmark keeps of costs and runs, and when it no longer counts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.benchmark_systems import FIGURES, MEAN, SETTINGS, STAN
from helpers.scripts import PROJECT
from mmengine.config import Config

from mmstan.benchmark import measuring
from mmstan.benchmark.jobs import Job, add_references, find_reference, mean_pooling, read_system
from mmstan.benchmark.learning import plan_system
from mmstan.benchmark.measuring import forget, run_costs
from mmstan.benchmark.store import Costs, make_rows
from mmstan.benchmark.systems import list_systems
from mmstan.config.sources import read_own_sources
from mmstan.registry import MODELS


@pytest.mark.parametrize(
    ('config', 'frames', 'size'),
    [
        ('stan/k400_b16', None, None),
        ('stan/k400_b16_16f', 16, 224),
        ('dist/k400_b16_8f', None, None),  # its branch sees 16
        ('dist/k400_b16_32f', 32, 224),
        ('xclip/k400_l14_336_16f', None, None),  # a tower without mean pooling
        ('mug_stan/didemo_b32', 64, 224),
    ],
)
def test_a_ratio_is_of_as_many_frames(config: str, frames: int | None, size: int | None) -> None:
    mean = find_reference(Job(str(PROJECT / f'configs/{config}.py'), SETTINGS))
    if 'l14_336' in config:
        assert mean is None
    else:
        assert mean is not None and 'clip_mean' in mean.name
        assert mean.settings == replace(SETTINGS, frames=frames, size=size)


def test_two_configs_of_one_name(tmp_path: Path) -> None:
    paths = [tmp_path / folder / 'idea.py' for folder in 'ab']
    for path in paths:
        path.parent.mkdir()
        path.write_text(f'_base_ = {STAN!r}')
    with pytest.raises(ValueError, match="are both 'idea' in the table"):
        add_references([str(path) for path in paths], SETTINGS)


def test_a_config_without_a_view_size_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = {STAN!r}\nmodel = dict(backbone=dict(tower=dict(model='mine')))\n"
        'test_dataloader = dict(dataset=dict(pipeline=[]))'
    )
    with pytest.raises(ValueError, match=r'mine\.py: the test pipeline does not say frames'):
        add_references([str(path)], SETTINGS)


def test_costs_by_settings(tmp_path: Path) -> None:
    path, job = tmp_path / 'cost.jsonl', Job(STAN, SETTINGS)
    Costs(path).add(job, 0, FIGURES)
    assert Costs(path).rounds(job) == {0: FIGURES}
    assert Costs(path).rounds(replace(job, config=MEAN)) == {}
    for other in (dict(compiled=True), dict(repeats=5), dict(frames=16)):
        assert Costs(path).rounds(Job(STAN, replace(SETTINGS, **other))) == {}


def test_a_line_older_than_a_setting_counts(tmp_path: Path) -> None:
    path, job = tmp_path / 'cost.jsonl', Job(STAN, SETTINGS)
    Costs(path).add(job, 0, FIGURES)
    line = json.loads(path.read_text())
    for setting in ('views', 'largest_batch'):
        line['settings'].pop(setting)
    path.write_text(json.dumps(line) + '\n')
    assert Costs(path).rounds(job) == {0: FIGURES}
    assert Costs(path).rounds(Job(STAN, replace(SETTINGS, largest_batch=True))) == {}


def test_half_a_line_of_a_killed_process(tmp_path: Path) -> None:
    costs, job = Costs(tmp_path / 'cost.jsonl'), Job(STAN, SETTINGS)
    costs.add(job, 0, FIGURES)
    with costs.path.open('a') as file:
        file.write('{"config": "stan')
    costs.add(job, 1, FIGURES)
    assert costs.rounds(job) == {0: FIGURES, 1: FIGURES}


def test_costs_of_a_changed_config_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, costs = tmp_path / 'mine.py', Costs(tmp_path / 'cost.jsonl')
    mine, stan = Job(str(config), SETTINGS), Job(STAN, SETTINGS)
    config.write_text(f'_base_ = {STAN!r}')
    costs.add(stan, 0, FIGURES)
    monkeypatch.setattr(measuring, 'measure_in_own_process', lambda job: FIGURES)
    assert not list(run_costs(costs, [mine], 1))
    assert costs.rounds(mine) == {0: FIGURES}

    def edited_meanwhile(job: Job) -> dict[str, float]:
        config.write_text(f'_base_ = {STAN!r}\nmodel = dict(neck=None)')
        return FIGURES

    monkeypatch.setattr(measuring, 'measure_in_own_process', edited_meanwhile)
    (failed,) = run_costs(costs, [mine], 2)
    assert 'changed while it was measured' in failed
    assert not costs.rounds(Job(str(config), SETTINGS)) and costs.rounds(stan)


def test_costs_and_runs_can_be_forgotten(tmp_path: Path) -> None:
    costs, runs = Costs(tmp_path / 'cost.jsonl'), tmp_path / 'runs'
    kept, (towers, system) = plan_system(STAN, 0, runs), plan_system(STAN, 1, runs)
    for plan in (*kept, towers, system):
        plan.work_dir.mkdir(parents=True)
    mean, stan = Job(MEAN, SETTINGS), Job(STAN, SETTINGS)
    for job in (mean, stan):
        costs.add(job, 0, FIGURES)
    no_toy = str(PROJECT / 'configs/baselines/divided_space_time/k400_vit_b16.py')
    forget(costs, [mean], [no_toy, STAN], [1], runs)
    assert not costs.rounds(mean) and costs.rounds(stan) == {0: FIGURES}
    assert all(plan.work_dir.exists() for plan in kept)
    assert not towers.work_dir.exists() and not system.work_dir.exists()
    costs.add(mean, 1, FIGURES)
    assert costs.rounds(mean) == {1: FIGURES}


def test_runs_of_a_folder_with_a_dot_do_not_share_a_file(tmp_path: Path) -> None:
    folder = tmp_path / 'v1.0'
    folder.mkdir()
    for name, base in (('a', STAN), ('b', MEAN)):
        (folder / f'{name}.py').write_text(f'_base_ = {base!r}')
    configs = [str(folder / f'{name}.py') for name in 'ab']
    plans = [plan_system(config, seed, tmp_path)[1] for config in configs for seed in (0, 1)]
    assert len({plan.file for plan in plans}) == 4


OWN_NECK = """
from mmstan.models import MeanPool
from mmstan.registry import MODELS
from own import part

@MODELS.register_module(force=True)
class OwnNeck(MeanPool):
    scale = part.SCALE
"""


def test_a_module_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is imported where the toy is trained; its change is another run, and another cost."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'own').mkdir()
    (tmp_path / 'own/neck.py').write_text(OWN_NECK)
    (tmp_path / 'own/part.py').write_text('SCALE = 1')
    config = tmp_path / 'mine.py'
    config.write_text(
        f'_base_ = {MEAN!r}\n'
        "custom_imports = dict(imports=['mmstan', 'own.neck'], allow_failed_imports=False)\n"
        "model = dict(neck=dict(type='OwnNeck'))\n"
    )
    costs, job = Costs(tmp_path / 'cost.jsonl'), Job(str(config), SETTINGS)
    costs.add(job, 0, FIGURES)
    first = plan_system(str(config), 0, tmp_path)[1]
    assert first.config.custom_imports.imports == ['mmstan', 'own.neck']
    assert MODELS.build(first.config.model.neck)
    (tmp_path / 'own/part.py').write_text('SCALE = 12')
    assert plan_system(str(config), 0, tmp_path)[1].work_dir != first.work_dir
    assert not costs.rounds(Job(str(config), SETTINGS))
    now = read_system(str(config)).digest
    (tmp_path / 'own/another_idea.py').write_text('SCALE = 2')  # which nothing imports
    assert read_system(str(config)).digest == now


@pytest.mark.parametrize('name', ['math', 'sys', 'mmaction', 'mmstan.models', 'json.decoder'])
def test_installed_modules_are_not_the_users(name: str) -> None:
    assert read_own_sources(Config(dict(custom_imports=dict(imports=[name])))) == []


def test_rows_find_their_mean_pooling_and_scores(tmp_path: Path) -> None:
    costs, mean, stan = Costs(tmp_path / 'cost.jsonl'), Job(MEAN, SETTINGS), Job(STAN, SETTINGS)
    costs.add(mean, 0, FIGURES)
    costs.add(stan, 0, FIGURES | dict(forward=3.0))
    runs = tmp_path / 'runs'
    plan = plan_system(STAN, 1, runs)[1]
    plan.work_dir.mkdir(parents=True)
    plan.config.dump(plan.file)
    (plan.work_dir / 'made_from.txt').write_text('this config')
    (plan.work_dir / 'result.json').write_text(json.dumps({'top-1': 0.75, 'pair': 1.0}))
    first, second = make_rows([mean, stan], costs, [0, 1], runs, 'A')
    assert (first.forward, second.forward) == (1.0, 1.5)
    assert (first.score, second.score, second.seeds) == (None, 75.0, 1)
    plan.config.train_cfg.max_epochs = 99
    plan.config.dump(plan.file)
    assert plan_system(STAN, 1, runs)[1].score is None  # it was another budget


@pytest.mark.parametrize(
    'config', ['baselines/st_adapter/k400_b16', 'baselines/divided_space_time/k400_vit_b16']
)
def test_a_row_without_data_or_toy_form(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no data set is here; a linear head asks for its number of classes
    job = Job(str(PROJECT / f'configs/{config}.py'), SETTINGS)
    costs = Costs(tmp_path / 'cost.jsonl')
    costs.add(job, 0, FIGURES)
    (row,) = make_rows([job], costs, [0], tmp_path, 'A')
    assert (row.gmacs, row.score, row.frames) == (10.0, None, 8)


def test_every_default_system_has_a_mean_to_be_compared_with() -> None:
    means = mean_pooling()
    assert means['recognition', 'ViT-B-16'].config == MEAN
    jobs = [Job(config, SETTINGS) for config in list_systems()]
    assert all(find_reference(job).settings == SETTINGS for job in jobs)
