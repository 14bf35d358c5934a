import itertools
import random
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmstan.datasets.few_shot import choose_few_shot
from mmstan.evaluation.splits import DEVIATION, format_splits, mean_and_deviation, split_configs
from mmstan.models.heads.class_names import class_index_names, read_class_names

PROJECT = Path(__file__).parents[2]
# 20 videos of each of three classes
TRAINING = [f'class_{label}/v_g{i:02}.avi {label}' for i in range(20) for label in range(3)]


# --- K-shot lists ---


@pytest.mark.parametrize('shots', [1, 2, 16, 20])
def test_every_class_has_as_many_videos(shots: int) -> None:
    chosen = choose_few_shot(TRAINING, shots, seed=0)
    assert set(chosen) <= set(TRAINING)
    assert len(set(chosen)) == len(chosen)
    assert [line.split()[1] for line in chosen] == [str(k) for k in range(3) for _ in range(shots)]


@pytest.mark.parametrize('seed', [0, 7])
def test_fewer_shots_are_a_part_of_more(seed: int) -> None:
    lists = [set(choose_few_shot(TRAINING, shots, seed=seed)) for shots in (2, 4, 8, 16)]
    for fewer, more in itertools.pairwise(lists):
        assert fewer < more


def test_the_choice_is_the_seed_s_alone() -> None:
    chosen = choose_few_shot(TRAINING, 4, seed=0)
    shuffled = random.Random(0).sample(TRAINING, len(TRAINING))
    assert choose_few_shot(shuffled, 4, seed=0) == chosen
    moved = [line.replace('class_', 'videos/').replace('.avi', '.mp4') for line in TRAINING]
    names = [Path(line.split()[0]).stem for line in chosen]
    assert [Path(line.split()[0]).stem for line in choose_few_shot(moved, 4, seed=0)] == names
    assert choose_few_shot(TRAINING, 4, seed=1) != chosen


def test_a_video_that_is_listed_twice_is_one_shot() -> None:
    lines = ['a/1.mp4 0', 'a/1.mp4 0', 'a/./1.mp4  0', 'b/2.mp4 0', 'a/3.mp4 1', 'a/4.mp4 1']
    chosen = choose_few_shot(lines, 2, seed=0)
    assert sorted(chosen) == ['a/1.mp4 0', 'a/3.mp4 1', 'a/4.mp4 1', 'b/2.mp4 0']
    with pytest.raises(ValueError, match='shots=3, but class 0 has 2, class 1 has 2'):
        choose_few_shot(lines, 3, seed=0)


def test_seeds_choose_evenly() -> None:
    counts = dict.fromkeys(TRAINING, 0)
    for seed in range(400):
        for line in choose_few_shot(TRAINING, 5, seed=seed):
            counts[line] += 1
    assert min(counts.values()) > 60  # of 100 expected, with a deviation of 9
    assert max(counts.values()) < 140


@pytest.mark.parametrize(
    ('lines', 'shots', 'problem'),
    [
        (TRAINING, 21, r'shots=21, but class 0 has 20, class 1 has 20, class 2 has 20; take fewer'),
        (['a.mp4 0', 'b.mp4 2', 'c.mp4 2'], 2, r'class 0 has 1, class 1 has 0; take fewer'),
        ([f'{i}.mp4 {i}' for i in range(8)], 2, r'class 4 has 1, and 3 more; '),
        (TRAINING, 0, r'shots=0 must be at least 1'),
        (['a.mp4 0', 'b.mp4 1 2'], 1, r"line 2: 'b.mp4 1 2' must be 'path label': it has several"),
        (['a.mp4'], 1, r"line 1: 'a.mp4' must be 'path label': it has no label"),
        (['', 'a.mp4 x'], 1, r"line 2: 'a.mp4 x' must be .* the label 'x' is not a whole number"),
        ([], 1, r'class 0 has 0'),
    ],
)
def test_lists_that_cannot_be_made(lines: list[str], shots: int, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as error:
        choose_few_shot(lines, shots, seed=0)
    assert '\n' not in str(error.value)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run ``tools/data/NAME.py`` with arguments."""

    def run(name: str, *arguments: str | Path) -> None:
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        runpy.run_path(str(PROJECT / f'tools/data/{name}.py'), run_name='__main__')

    return run


def test_few_shot_tool(tmp_path: Path, run: Callable[..., None]) -> None:
    source = tmp_path / 'train.txt'
    source.write_text('\n'.join(TRAINING) + '\n')
    run('few_shot', source, '--shots', '2', '4', '--seed', '3')
    for shots in (2, 4):
        made = tmp_path / f'few_shot/train_{shots}shot_seed3.txt'
        assert made.read_text().splitlines() == choose_few_shot(TRAINING, shots, seed=3)
    with pytest.raises(SystemExit, match=r'^error: .*train\.txt: shots=32, but class 0 has 20'):
        run('few_shot', source, '--shots', '2', '32', '--out', tmp_path / 'other')
    assert not (tmp_path / 'other').exists()


# --- class names ---


def test_class_index() -> None:
    text = '1 ApplyEyeMakeup\r\n2 kick_ball \r\n\r\n'
    assert class_index_names(text.splitlines()) == ['ApplyEyeMakeup', 'kick ball']


@pytest.mark.parametrize('lines', [['0 a', '1 b'], ['1 a', '3 b'], ['2 b', '1 a'], ['1'], ['a b']])
def test_class_index_of_another_form(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="must be '1 name', '2 name'"):
        class_index_names(lines)


def test_class_names_tool(tmp_path: Path, run: Callable[..., None]) -> None:
    with pytest.raises(SystemExit, match=r'^error: .*classInd\.txt: .*No such file'):
        run('class_names', tmp_path)
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/classInd.txt').write_text('1 brush_hair\n2 cartwheel\n')
    run('class_names', tmp_path)
    assert read_class_names(str(tmp_path / 'label_map.txt')) == ['brush hair', 'cartwheel']


# --- splits ---

RESULTS = {
    'split1': {'acc/top1': 0.5, 'acc/top5': 0.9},
    'split2': {'acc/top1': 0.6, 'acc/top5': 0.9, 'acc/left_out': 2},
    'split3': {'acc/top1': 0.7, 'acc/top5': 0.9},
}


def test_mean_and_deviation() -> None:
    summary = mean_and_deviation(RESULTS)
    assert summary['mean'] == pytest.approx({'acc/top1': 0.6, 'acc/top5': 0.9})
    assert summary[DEVIATION] == pytest.approx({'acc/top1': 0.1, 'acc/top5': 0})
    assert list(mean_and_deviation({'split1': RESULTS['split1']})) == ['mean']


def test_table() -> None:
    assert format_splits(RESULTS).splitlines() == [
        '| split | acc/top1 | acc/top5 | acc/left_out |',
        '|---|---|---|---|',
        '| split1 | 50.00 | 90.00 | 0 |',
        '| split2 | 60.00 | 90.00 | 2 |',
        '| split3 | 70.00 | 90.00 | 0 |',
        '| mean ± sample deviation (n - 1) | 60.00 ± 10.00 | 90.00 ± 0.00 |  |',
    ]
    assert format_splits({'one': {'acc/top1': 0.25}}).endswith('| mean | 25.00 |')


def config(**test_splits: Any) -> Config:
    dataset = dict(type='mmstan.VideoDataset', ann_file='k400.txt', data_prefix=dict(video='k400'))
    return Config(
        dict(
            model=dict(cls_head=dict(type='mmstan.TextHead', class_names='k400_names.txt')),
            test_dataloader=dict(dataset=dataset, batch_size=4),
            test_evaluator=[
                dict(type='mmstan.AccMetric'),
                dict(type='DumpResults', out_file_path='out/scores.pkl'),
            ],
            test_splits=test_splits,
        )
    )


def test_a_split_is_put_into_the_config() -> None:
    cfg = config(
        first=dict(ann_file='1.txt', class_names=['a', 'b'], data_prefix=dict(video='new')),
        second=dict(ann_file='2.txt'),
    )
    before = cfg.to_dict()
    splits = split_configs(cfg)
    assert cfg.to_dict() == before
    assert list(splits) == ['first', 'second']
    first, second = splits.values()
    assert first.test_dataloader == dict(
        batch_size=4,
        dataset=dict(type='mmstan.VideoDataset', ann_file='1.txt', data_prefix=dict(video='new')),
    )
    assert first.model.cls_head == dict(type='mmstan.TextHead', class_names=['a', 'b'])
    assert second.model.cls_head.class_names == 'k400_names.txt'  # not what the first one left
    assert second.test_dataloader.dataset.data_prefix == dict(video='k400')
    dumps = [split.test_evaluator[1].out_file_path for split in splits.values()]
    assert dumps == ['out/scores_first.pkl', 'out/scores_second.pkl']


def test_a_config_without_splits() -> None:
    with pytest.raises(ValueError, match=r'test_splits=\{\}, but it must name test sets'):
        split_configs(config())


def test_a_head_without_class_names() -> None:
    cfg = config(one=dict(class_names=['a']))
    cfg.model.cls_head = dict(type='I3DHead', num_classes=2)
    with pytest.raises(ValueError, match=r'test_splits\.one\.class_names.*mmstan\.TextHead'):
        split_configs(cfg)


@pytest.mark.parametrize('data', ['ucf101', 'hmdb51', 'k600'])
def test_shipped_splits(data: str) -> None:
    cfg = Config.fromfile(PROJECT / f'configs/stan/zero_shot/{data}_b16.py')
    splits = split_configs(cfg)
    assert len(splits) == len({split.test_dataloader.dataset.ann_file for split in splits.values()})
    assert len(splits) == 3
    for split in splits.values():
        assert 'kinetics400' not in str(split.test_dataloader)
        assert 'kinetics400' not in str(split.model)
        crops = [step['type'] for step in split.test_dataloader.dataset.pipeline[1:3]]
        assert crops == ['Resize', 'CenterCrop']


@pytest.mark.parametrize('data', ['ucf101', 'hmdb51'])
@pytest.mark.parametrize('shots', [2, 4, 8, 16])
def test_shipped_few_shot_configs(data: str, shots: int) -> None:
    cfg = Config.fromfile(PROJECT / f'configs/stan/few_shot/{data}_b16_{shots}shot.py')
    # the list that the tool makes by default
    listed = f'data/{data}/few_shot/{data}_train_split_1_videos_{shots}shot_seed0.txt'
    assert cfg.train_dataloader.dataset.ann_file == listed
    assert cfg.test_dataloader.dataset.ann_file == f'data/{data}/{data}_val_split_1_videos.txt'
    assert cfg.optim_wrapper.optimizer.lr == 2e-6
    assert cfg.default_hooks.checkpoint.save_best is None
