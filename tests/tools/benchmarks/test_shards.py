"""The benchmark of shards, on a few made-up samples."""

from pathlib import Path

from helpers.scripts import script

from mmstan.datasets import Shards


def test_figures(tmp_path: Path) -> None:
    tool = script('benchmarks/shards')
    tool.write_made_up(tmp_path, 3000)
    assert len(Shards(str(tmp_path))) == 3000
    found = tool.measure_index(tmp_path)
    kinds = ('open', 'first index of an epoch', 'all indices of an epoch')
    assert {*found} == {f'{kind}, {unit}' for kind in kinds for unit in ('CPU s', 'MB')}
    assert all(value >= 0 for value in found.values())


def test_the_same_files_are_read_from_both(tmp_path: Path) -> None:
    tool = script('benchmarks/shards')
    source = tool.write_same_files(tmp_path)
    found = tool.measure_reading(source, tmp_path / 'shards', passes=1)
    assert found['shards / folder'] == found['shards ms'] / found['folder ms'] > 0
