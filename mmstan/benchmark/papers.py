"""Render ``docs/papers/<paper>.md``, row by row, and the list of rows without a config.

A page is made from a data file ``docs/papers/<paper>.yml``:

* ``Title``, ``URL``, ``About`` (Markdown), and ``Options``: name -> settings of ``--cfg-options``.
* ``Tables``: a list of ``{Table, Title, Rows}``. ``Data``, ``Tower``, ``Frames`` and ``Views``
  (clips x crops) hold for every row that does not say otherwise.
* ``Rows``: each has ``Row`` and ``Config`` (below ``configs``), or ``Reason`` why there is none.
  ``With`` lists options (names, or settings themselves); ``Other`` is a config with another
  recipe (the released one); ``Reported`` and ``Measured`` are figures.

``tests/configs/test_papers.py`` compares the settings of every row with its config.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from mmstan.wording import count_things, markdown_table

FOLDER = 'docs/papers'
"""Folder of the data files and their pages."""
SETTINGS = ('Data', 'Tower', 'Frames', 'Views')
"""Settings that a table gives to its rows."""
LEGEND = """\
A row without a command line is trained with `tools/train.py CONFIG` and tested with
`tools/test.py CONFIG CHECKPOINT`; another row adds the options in its column to both. `load_from`
and `allow_missing` are for the training alone, options of `test_dataloader` and `class_names`
(UCF-101) for the test alone. Settings are data, tower, frames and views (clips x crops). Reported
are the paper's figures in per cent, `-` where our notes have none. Nothing of this was measured
here."""

Row = Mapping[str, Any]


def read_papers(root: Path) -> dict[Path, dict[str, Any]]:
    """Path of each data file -> its content, with the settings and options of every row."""
    papers = {}
    for path in sorted((root / FOLDER).glob('*.yml')):
        paper: dict[str, Any] = yaml.safe_load(path.read_text('utf-8'))
        for table in paper['Tables']:
            shared = {key: table[key] for key in SETTINGS if key in table}
            table['Rows'] = [_fill_row(row, shared, paper) for row in table['Rows']]
        papers[path] = paper
    return papers


def _fill_row(row: Row, shared: Mapping[str, Any], paper: Mapping[str, Any]) -> dict[str, Any]:
    named = paper.get('Options', {})
    options = [word for option in row.get('With', ()) for word in named.get(option, option).split()]
    return {**shared, **row, 'With': options}


def list_rows(papers: Mapping[Path, Mapping[str, Any]]) -> Iterator[tuple[str, Row]]:
    """Give ``'STAN, Table 1'`` and a row, for every row of every paper."""
    for paper in papers.values():
        for table in paper['Tables']:
            for row in table['Rows']:
                yield f'{paper["Title"]}, {table["Table"]}', row


def collect_reported(papers: Mapping[Path, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Path of a config -> the figures of its rows without options, as a metafile has them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for source, row in list_rows(papers):
        if row['With'] or 'Config' not in row or not row.get('Reported'):
            continue
        for name in filter(None, (row['Config'], row.get('Other'))):
            entries = found.setdefault(f'configs/{name}.py', [])
            figures = row['Reported']
            if not any(figures.items() <= entry['Figures'].items() for entry in entries):
                entries.append(dict(Source=source, Figures=figures))
    return found


def render_paper(paper: Mapping[str, Any]) -> str:
    """Markdown: every table of a paper, row by row."""
    parts = [paper['About'].strip(), LEGEND]
    for table in paper['Tables']:
        parts.append(f'## {table["Table"]}: {table["Title"]}')
        if 'Note' in table:
            parts.append(table['Note'].strip())
        parts.append(_render_rows(table['Rows']))
    return '\n\n'.join(parts)


def _render_rows(rows: list[Row]) -> str:
    head = ['row', 'config', 'settings', 'on the command line', 'reported', 'measured here']
    return markdown_table(head, [_list_cells(row) for row in rows])


def _list_cells(row: Row) -> list[str]:
    if 'Config' not in row:
        reason = f'none: {row["Reason"]}'
        return [row['Row'], reason, '', '', _show_figures(row.get('Reported')), '-']
    config = _link_config(row['Config'])
    if 'Other' in row:
        config += f'; other recipe: {_link_config(row["Other"])}'
    settings = [str(row[key]) for key in SETTINGS]
    settings[2] += ' frames' if settings[2] != '1' else ' frame'
    settings[3] = settings[3].replace(' x ', ' × ')
    options = f'`--cfg-options {shlex.join(row["With"])}`' if row['With'] else ''
    figures = [_show_figures(row.get(key)) for key in ('Reported', 'Measured')]
    return [row['Row'], config, ', '.join(settings), options, *figures]


def _link_config(name: str) -> str:
    return f'[`{name}`](../../configs/{name}.py)'


def _show_figures(figures: Mapping[str, Any] | None) -> str:
    return ', '.join(f'{name} {value}' for name, value in figures.items()) if figures else '-'


def render_overview(papers: Mapping[Path, Mapping[str, Any]]) -> str:
    """Markdown: the pages with their numbers of rows, and all rows without a config."""
    cells = []
    for path, paper in papers.items():
        rows = [row for table in paper['Tables'] for row in table['Rows']]
        built = sum('Config' in row for row in rows)
        configs = {row['Config'] for row in rows if 'Config' in row}
        link = f'[{paper["Title"]}]({path.stem}.md)'
        cells.append(
            [link, len(paper['Tables']), len(rows), built, len(rows) - built, len(configs)]
        )
    head = ['paper', 'tables', 'rows', 'with a config', 'without', 'configs']
    parts = [markdown_table(head, cells, align='lrrrrr'), '## Rows without a config']
    missing = [(row['Reason'], source, row) for source, row in list_rows(papers) if 'Reason' in row]
    missing.sort(key=lambda entry: entry[0])
    lines = []
    for reason, entries in groupby(missing, lambda entry: entry[0]):
        rows = [f'{source}: {row["Row"]}' for _, source, row in entries]
        lines.append(
            f'* {reason[0].upper()}{reason[1:]} ({count_things(len(rows), "row")}): '
            f'{"; ".join(rows)}.'
        )
    parts.append('\n'.join(lines))
    return '\n\n'.join(parts)


def render_paper_pages(root: Path) -> dict[Path, str]:
    """Path of each page of the papers -> its tables."""
    papers = read_papers(root)
    pages = {path.with_suffix('.md'): render_paper(paper) for path, paper in papers.items()}
    return {**pages, root / FOLDER / 'index.md': render_overview(papers)} if papers else {}
