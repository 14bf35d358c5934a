"""``tools/model_zoo.py`` on a checkout of one method."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers.scripts import script

from mmstan.benchmark import model_figures
from mmstan.benchmark.model_zoo import LEGEND, read_metafile, render_pages
from mmstan.benchmark.rows import Row, write_csv

METAFILE = """\
Collections:
  - Name: Mine
    README: configs/baselines/mine/README.md

Models:
  - Name: mine_k400
    Config: configs/baselines/mine/k400.py
    In Collection: Mine
    Weights: https://weights.test/k400.pth
    Metadata:
      Frames: 8 + 16
      GMACs: 1205.48
      Parameters: 189.84
      Trained: 0.07
    Reported:
      - Source: Mine, Table 1
        Figures:
          top-1: 84.2
          top-5: 96.5 ± 0.1
      - Source: another
        Figures:
          top-1: 83.0
  - Name: mine_ablations_k400_few
    Config: configs/baselines/mine/ablations/k400_few.py
    In Collection: Mine
"""
README = '# Mine\n\n<!-- of metafile.yml -->\nold\n<!-- end -->\nafter\n'
PAGE = '# All\n\n<!-- of metafile.yml -->\n<!-- end -->\n'
HEAD = """\
| config | frames | GMACs | parameters | trained | reported | measured here |
|---|---:|---:|---:|---:|---|---|"""
REPORTED = 'top-1 84.2, top-5 96.5 ± 0.1 (Mine, Table 1); top-1 83.0 (another)'
TABLES = f"""\
# Mine

<!-- of metafile.yml -->

{HEAD}
| [`k400`](k400.py) | 8 + 16 | 1205.48 | 189.84 | 0.07 | {REPORTED} | toy top-1 99.8 ± 0.3 |

### Ablations

{HEAD}
| [`k400_few`](ablations/k400_few.py) | - | - | - | - | - | not measured |

{LEGEND}

<!-- end -->
after
"""
ZOO_HEAD = f"""\
{HEAD.splitlines()[0]} weights |
{HEAD.splitlines()[1]}---|"""
ZOO = f"""\
# All

<!-- of metafile.yml -->

{LEGEND}

## Mine

[What it is](../configs/baselines/mine/README.md)

{ZOO_HEAD}
| [`baselines/mine/k400`](../configs/baselines/mine/k400.py) | 8 + 16 | 1205.48 | 189.84 | 0.07 | \
{REPORTED} | toy top-1 99.8 ± 0.3 | [model](https://weights.test/k400.pth) |

### Ablations

{ZOO_HEAD}
| [`baselines/mine/ablations/k400_few`](../configs/baselines/mine/ablations/k400_few.py) \
| - | - | - | - | - | not measured | none |

<!-- end -->
"""
COUNTED = {'Frames': 2, 'GMACs': 1.5, 'Parameters': 3.0, 'Trained': 2.0}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / 'configs/baselines/mine'
    (folder / 'ablations').mkdir(parents=True)
    (folder / 'k400.py').touch()
    (folder / 'ablations/k400_few.py').touch()
    (folder / 'metafile.yml').write_text(METAFILE)
    (folder / 'README.md').write_text(README)
    (tmp_path / 'model-index.yml').write_text('Import: [configs/baselines/mine/metafile.yml]')
    (tmp_path / 'docs/benchmark').mkdir(parents=True)
    (tmp_path / 'docs/model_zoo.md').write_text(PAGE)
    row = Row('baselines/mine/k400', 'recognition', 'ViT-B-16', 'here', score=99.75, deviation=0.3)
    write_csv([row], tmp_path / 'docs/benchmark/systems.csv')
    return tmp_path


@pytest.fixture
def tool(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = script('model_zoo')
    monkeypatch.setattr(module, 'ROOT', checkout)
    monkeypatch.setattr(model_figures, 'count_figures', lambda config: dict(COUNTED))
    return module


def run(tool: ModuleType, *options: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['model_zoo', *options])
        tool.main()


def test_tables_are_written_and_compared(
    tool: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = checkout / 'configs/baselines/mine/README.md'
    with pytest.raises(
        SystemExit, match=r'out of date: configs/baselines/mine/README\.md, docs/model_zoo\.md'
    ):
        run(tool, '--check')
    assert readme.read_text() == README
    run(tool)
    assert readme.read_text() == TABLES
    assert (checkout / 'docs/model_zoo.md').read_text() == ZOO
    with pytest.raises(SystemExit) as done:
        run(tool, '--check')
    assert done.value.code == 0
    run(tool)
    assert capsys.readouterr().out.endswith('nothing has changed\n')


def test_figures_are_counted_where_there_are_none(tool: ModuleType, checkout: Path) -> None:
    for name in ('b_new_16f', 'b_new_8f'):
        (checkout / f'configs/baselines/mine/{name}.py').touch()
    run(tool, '--figures')
    path = checkout / 'configs/baselines/mine/metafile.yml'
    models = read_metafile(path)['Models']
    assert [model['Name'] for model in models] == [
        'mine_b_new_8f',
        'mine_b_new_16f',
        'mine_k400',
        'mine_ablations_k400_few',
    ]
    assert [model.get('Metadata') == COUNTED for model in models] == [True, True, False, True]
    # The entry that was complete is as it was, to the letter.
    assert METAFILE[
        METAFILE.index('  - Name: mine_k400') : METAFILE.index('  - Name: mine_abl')
    ] in (path.read_text())


def test_figures_of_named_configs_are_counted_again(tool: ModuleType, checkout: Path) -> None:
    run(tool, '--figures', 'configs/baselines/mine/*.py')
    models = read_metafile(checkout / 'configs/baselines/mine/metafile.yml')['Models']
    assert [model['Metadata'] for model in models] == [COUNTED, COUNTED]
    assert models[0]['Reported'][0]['Figures'] == {'top-1': 84.2, 'top-5': '96.5 ± 0.1'}


@pytest.mark.parametrize('pattern', ['configs/baselines/mine/k40.py', 'docs/*', '/configs/*.py'])
def test_a_pattern_that_finds_no_config(pattern: str, tool: ModuleType, checkout: Path) -> None:
    metafile = checkout / 'configs/baselines/mine/metafile.yml'
    with pytest.raises(SystemExit, match=rf"^error: --figures '{re.escape(pattern)}' is no config"):
        run(tool, '--figures', 'configs/baselines/mine/*.py', pattern)
    assert metafile.read_text() == METAFILE


@pytest.mark.parametrize('readme', ['# Mine\n', '<!-- of metafile.yml -->\n', README + README])
def test_a_readme_has_one_place_for_its_tables(checkout: Path, readme: str) -> None:
    (checkout / 'configs/baselines/mine/README.md').write_text(readme)
    with pytest.raises(ValueError, match=r'README\.md: write the lines .* once'):
        render_pages(checkout)


PAPER = """\
Title: Mine
URL: https://paper.test
About: About it.
Options:
  one view: test_dataloader.a=1
Tables:
  - Table: Table 1
    Title: classes
    Data: K400
    Tower: ViT-B-16
    Frames: '8'
    Views: 1 x 3
    Rows:
      - Row: mine
        Config: baselines/mine/k400
        Reported: {top-1: 84.2, top-5: 96.7}
        Measured: {top-1: 84.0}
      - Row: once
        Config: baselines/mine/k400
        Views: 1 x 1
        With: [one view, 'b=(1,2)']
        Reported: {top-1: 83.0}
      - Row: other
        Config: baselines/mine/ablations/k400_few
        Other: baselines/mine/k400
        Frames: '1'
      - {Row: theirs, Reason: never released}
"""
K400 = '[`baselines/mine/k400`](../../configs/baselines/mine/k400.py)'
FEW = '[`baselines/mine/ablations/k400_few`](../../configs/baselines/mine/ablations/k400_few.py)'
PAPER_ROWS = f"""\
| row | config | settings | on the command line | reported | measured here |
|---|---|---|---|---|---|
| mine | {K400} | K400, ViT-B-16, 8 frames, 1 × 3 |  | top-1 84.2, top-5 96.7 | top-1 84.0 |
| once | {K400} | K400, ViT-B-16, 8 frames, 1 × 1 | \
`--cfg-options test_dataloader.a=1 'b=(1,2)'` | top-1 83.0 | - |
| other | {FEW}; other recipe: {K400} | K400, ViT-B-16, 1 frame, 1 × 3 |  | - | - |
| theirs | none: never released |  |  | - | - |
"""


def test_the_page_of_a_paper_and_its_figures_in_other_tables(
    tool: ModuleType, checkout: Path
) -> None:
    folder = checkout / 'docs/papers'
    folder.mkdir()
    (folder / 'mine.yml').write_text(PAPER)
    for name in ('mine', 'index'):
        (folder / f'{name}.md').write_text('head\n\n<!-- of the data file -->\n<!-- end -->\n')
    run(tool)
    page = (folder / 'mine.md').read_text()
    assert page.startswith('head\n\n<!-- of the data file -->\n\nAbout it.\n\n')
    assert f'## Table 1: classes\n\n{PAPER_ROWS}' in page
    overview = (folder / 'index.md').read_text()
    assert '| [Mine](mine.md) | 1 | 4 | 3 | 1 | 2 |' in overview
    assert '* Never released (1 row): Mine, Table 1: theirs.' in overview
    # Rows without options are also in the README of the method.
    readme = (checkout / 'configs/baselines/mine/README.md').read_text()
    assert f'top-1 84.2, top-5 96.7 (Mine, Table 1); {REPORTED}' in readme
    assert 'top-1 83.0, ' not in readme
    (folder / 'index.md').write_text('head\n')
    with pytest.raises(ValueError, match=r'index\.md: write the lines <!-- of the data file -->'):
        render_pages(checkout)
