"""The csv file of figures and its tables."""

from pathlib import Path

import pytest

from mmstan.benchmark.figures import format_figures, read_figures, write_figures

PROJECT = Path(__file__).parents[2]
FILE = PROJECT / 'docs/benchmark/search.csv'


def test_a_table_of_figures(tmp_path: Path) -> None:
    path = tmp_path / 'figures.csv'
    figures = [('a', 'time', 1.23456, 's'), ('b', 'time', 20.0, 's'), ('b', 'size', 3e6, 'bytes')]
    write_figures(path, 'first', figures, machine='here', command='run, all')
    write_figures(path, 'second', [('a', 'time', 7, 's')], machine='here', command='other')
    assert format_figures(path, 'first').splitlines() == [
        '|  | time (s) | size (bytes) |',
        '|---|---:|---:|',
        '| a | 1.235 | - |',
        '| b | 20 | 3e+06 |',
        '',
        'here: `run, all`',
    ]
    # Measured again: the figure and its origin change, others stay.
    write_figures(path, 'first', figures[:1], machine='there', command='again')
    assert read_figures(path)['first', 'a', 'time'] == ['1.235', 's', 'there', 'again']
    assert 'here: `run, all`\n' not in format_figures(path, 'second')
    assert len(read_figures(path)) == 4


@pytest.mark.parametrize('table', ['recall', 'large', 'kinds'])
def test_the_page_shows_the_figures_of_the_file(table: str) -> None:
    assert format_figures(FILE, table) in (PROJECT / 'docs/search.md').read_text('utf-8')
