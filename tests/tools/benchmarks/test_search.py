"""The benchmark of search, on a few made-up clips."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers.scripts import script

from mmstan.benchmark.figures import read_figures
from mmstan.methods.mug import Mug
from mmstan.models.features import TextFeatures


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    tool = script('benchmarks/search')
    for name, value in dict(DIM=16, KINDS=('auto', 'brute', 'fp16', 'int8')).items():
        monkeypatch.setattr(tool, name, value)
    return tool


def test_kinds(tool: ModuleType) -> None:
    found = {(row, name): value for row, name, value, _ in tool.measure_kinds(200, 5)}
    assert {row for row, _ in found} == {'brute', 'fp16', 'int8'}
    for query in ('text', 'frame'):
        assert found['fp16', f'{query}: top 10 in 400'] == 100
    # Two bytes a value and eight of the id, without the header's share.
    assert found['fp16', 'bytes a frame'] == pytest.approx(2 * 16 + 8, rel=0.02)


def test_the_command_that_ran_is_recorded(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = [('brute', 'query', 1.0, 'ms')]
    monkeypatch.setattr(tool, 'measure_kinds', lambda clips, queries: figures)
    path = tmp_path / 'a table.csv'
    options = ['kinds', '--queries', '5', '--csv', str(path)]
    monkeypatch.setattr(sys, 'argv', ['search.py', *options])
    threads = torch.get_num_threads()
    tool.main()
    torch.set_num_threads(threads)
    (found,) = read_figures(path).values()
    assert found[-1] == f"python tools/benchmarks/search.py kinds --queries 5 --csv '{path}'"


def test_the_recorded_recall_has_its_folders_and_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = script('benchmarks/search_recall')
    monkeypatch.setattr(tool, 'measure_misaligned', lambda *_: [('a', 'top 1', 1.0, '%')])
    checkpoint, path = tmp_path / 'epoch_8.pth', tmp_path / 'table.csv'
    checkpoint.touch()
    options = ['configs/a.py', str(checkpoint), '--clips', '7', '--csv', str(path)]
    monkeypatch.setattr(sys, 'argv', ['search_recall.py', *options])
    tool.main()
    (found,) = read_figures(path).values()
    assert found[-1] == f'python tools/benchmarks/search_recall.py {" ".join(options)}'


def test_an_index_of_random_features(tool: ModuleType, tmp_path: Path) -> None:
    store = tool.write_features(60, tmp_path)
    tool.building.renew_index(store)
    figures = {name: value for name, value, _ in tool.open_and_query(str(tmp_path), 3)}
    assert figures['memory'] >= figures['memory before'] > 0
    assert figures['query'] > 0 < figures['open']


def test_mixed_videos_and_their_recall() -> None:
    tool = script('benchmarks/search_recall')
    torch.manual_seed(0)
    frames = torch.randn(20, 9, 16)
    mixed = tool.mix_videos(frames, 50)
    assert mixed.shape == (50, 9, 16)
    torch.testing.assert_close(mixed[23, :3], frames[3, 0::3])
    assert not any(torch.equal(mixed[23, 3:6], x[1::3]) for x in frames[3:4])
    words = frames[:4, :5] + 0.1 * torch.randn(4, 5, 16)
    text = TextFeatures(words, words[:, -1], torch.ones(4, 5) > 0)
    # With fewer clips than candidates everything is kept.
    found = list(tool.compare_stages('row', Mug(sharpness=10.0), text, mixed))
    assert [value for _, _, value, _ in found] == [100.0] * 6
    assert found[0][0] == 'row, 50 clips'
    assert tool.count_kept(np.array([[1, 2], [3, 4]]), [np.array([1]), np.array([4, 3])]) == 75
