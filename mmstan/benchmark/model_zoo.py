"""Render the tables of ``configs/<method>/README.md`` and ``docs/model_zoo.md`` from the metafiles,
and the pages of the papers from their data files (:mod:`.papers`).

A metafile has the form of MMAction2's ``metafile.yml``, with three more fields for a model:

* ``Metadata``: frames, multiply-adds and parameters, written by :mod:`.model_figures`.
* ``Reported``: a list of figures, ``{Source: "EVL's repository", Figures: {top-1: 82.8}}``. Figures
  of a paper in ``docs/papers`` are in its data file, and shown as well.
* ``Measured``: a list of our own figures in the same form; ``Source`` says how they were measured.

Each line of :data:`COLUMNS` is a column of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mmstan.benchmark.papers import collect_reported, read_papers, render_paper_pages
from mmstan.benchmark.rows import Row, read_csv
from mmstan.benchmark.table import KINDS
from mmstan.wording import markdown_table, split_numbers

BEGIN, END = '<!-- of metafile.yml -->', '<!-- end -->'
BEGIN_PAPER = '<!-- of the data file -->'
"""Line in a page of :mod:`.papers` in front of its tables."""
TOY = 'docs/benchmark/systems.csv'
"""File with each system's score on Moving Shapes."""
LEGEND = f"""\
GMACs: multiply-adds of one view with every token in every layer, attention included. Parameters in
millions: all, and those that learn. Reported: by the paper that is named. Toy: trained on Moving
Shapes with narrow towers, from `{TOY}`. Nothing has been trained on the papers' data here."""

Model = Mapping[str, Any]
Cell = Callable[[Model, Mapping[str, Row]], str]
ZOO = 'docs/model_zoo.md'
"""Page with every model; the tables go between the same marks as in a README."""


def _show_metadata(key: str) -> Cell:
    def cell(model: Model, toy: Mapping[str, Row]) -> str:
        value = model.get('Metadata', {}).get(key, '-')
        return f'{value:.2f}' if isinstance(value, float) else str(value)

    return cell


def _link_config(model: Model, toy: Mapping[str, Row]) -> str:
    return f'[`{PurePosixPath(model["Config"]).stem}`]({_cut_method(model)})'


def _link_from_docs(model: Model, toy: Mapping[str, Row]) -> str:
    path = PurePosixPath(model['Config'])
    return f'[`{path.relative_to("configs").with_suffix("")}`](../{path})'


def _show_reported(model: Model, toy: Mapping[str, Row]) -> str:
    return _join_figures(model.get('Reported', [])) or '-'


def _show_measured(model: Model, toy: Mapping[str, Row]) -> str:
    figures = _join_figures(model.get('Measured', []))
    row = toy.get(str(PurePosixPath(model['Config']).relative_to('configs').with_suffix('')))
    if row is not None and row.score is not None:
        deviation = '' if row.deviation is None else f' ± {row.deviation:.1f}'
        figures += f'{"; " if figures else ""}toy {KINDS[row.kind]} {row.score:.1f}{deviation}'
    return figures or 'not measured'


def _link_weights(model: Model, toy: Mapping[str, Row]) -> str:
    return f'[model]({model["Weights"]})' if 'Weights' in model else 'none'


def _join_figures(entries: list[dict[str, Any]]) -> str:
    return '; '.join(
        f'{", ".join(f"{name} {value}" for name, value in entry["Figures"].items())} '
        f'({entry["Source"]})'
        for entry in entries
    )


COLUMNS: dict[str, tuple[str, Cell]] = {
    'config': ('l', _link_config),
    'frames': ('r', _show_metadata('Frames')),
    'GMACs': ('r', _show_metadata('GMACs')),
    'parameters': ('r', _show_metadata('Parameters')),
    'trained': ('r', _show_metadata('Trained')),
    'reported': ('l', _show_reported),
    'measured here': ('l', _show_measured),
}
"""Title of a column -> its alignment (``'l'`` or ``'r'``), and the function that makes a cell."""
ZOO_COLUMNS = {
    **COLUMNS,
    'config': ('l', _link_from_docs),
    'weights': ('l', _link_weights),
}
"""The columns of ``docs/model_zoo.md``."""


def list_metafiles(root: Path) -> list[Path]:
    """Paths of the metafiles that ``model-index.yml`` lists."""
    index = yaml.safe_load((root / 'model-index.yml').read_text('utf-8'))
    return [root / name for name in index['Import']]


def read_metafile(path: Path) -> dict[str, Any]:
    """The content of a metafile."""
    content: dict[str, Any] = yaml.safe_load(path.read_text('utf-8'))
    return content


class _Dumper(yaml.SafeDumper):
    """Indents the items of a list, which PyYAML does not do by itself."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def write_metafile(path: Path, content: dict[str, Any]) -> None:
    """Write a metafile with its models in the order of the tables."""
    content['Models'].sort(key=lambda model: (_find_group(model), split_numbers(model['Config'])))
    options: dict[str, Any] = dict(sort_keys=False, allow_unicode=True, width=1000)
    collections, models = (
        yaml.dump({key: content[key]}, Dumper=_Dumper, **options)
        for key in ('Collections', 'Models')
    )
    path.write_text(f'{collections}\n{models}', 'utf-8')


def _cut_method(model: Model) -> PurePosixPath:
    """The path of a config below its method's folder, ``ablations/k400_b16_dropout.py``."""
    parts = PurePosixPath(model['Config']).parts
    return PurePosixPath(*parts[3 if parts[1] == 'baselines' else 2 :])


def _find_group(model: Model) -> str:
    """The sub-folder of a config in its method's folder, ``''`` if it has none."""
    parent = _cut_method(model).parent
    return '' if parent == PurePosixPath() else str(parent)


def render_tables(
    models: list[dict[str, Any]],
    toy: Mapping[str, Row],
    columns: Mapping[str, tuple[str, Cell]] = COLUMNS,
) -> str:
    """Markdown: a table for each folder of configs."""
    parts = []
    for group, rows in groupby(models, _find_group):
        if group:
            parts.append(f'### {group.replace("_", "-").capitalize()}')
        cells = [[cell(model, toy) for _, cell in columns.values()] for model in rows]
        align = ''.join(align for align, _ in columns.values())
        parts.append(markdown_table(list(columns), cells, align=align))
    return '\n\n'.join(parts)


def render_zoo(root: Path, toy: Mapping[str, Row]) -> str:
    """Markdown: a section for each metafile."""
    parts = [LEGEND]
    reported = collect_reported(read_papers(root))
    for path in list_metafiles(root):
        content = read_metafile(path)
        readme = path.with_name('README.md').relative_to(root).as_posix()
        head = [f'## {content["Collections"][0]["Name"]}', f'[What it is](../{readme})']
        parts += [*head, render_tables(_read_models(path, reported), toy, ZOO_COLUMNS)]
    return '\n\n'.join(parts)


def render_pages(root: Path) -> dict[Path, str]:
    """Path of each page with tables -> its text with the current ones.

    The pages are the README next to each metafile, ``docs/model_zoo.md``, and those of the papers.

    Raises:
        ValueError: A page does not have exactly one place for its tables.
    """
    toy = {row.system: row for row in read_csv(root / TOY)}
    reported = collect_reported(read_papers(root))
    pages = {
        path.with_name(
            'README.md'
        ): f'{render_tables(_read_models(path, reported), toy)}\n\n{LEGEND}'
        for path in list_metafiles(root)
    }
    pages[root / ZOO] = render_zoo(root, toy)
    texts = {path: put_between(path, text, BEGIN) for path, text in pages.items()}
    papers = render_paper_pages(root)
    return texts | {path: put_between(path, text, BEGIN_PAPER) for path, text in papers.items()}


def _read_models(path: Path, reported: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The models of a metafile, with the figures that the papers' data files have of them."""
    return [
        dict(model, Reported=[*reported.get(model['Config'], ()), *model.get('Reported', ())])
        for model in read_metafile(path)['Models']
    ]


def put_between(page: Path, text: str, mark: str) -> str:
    """The text of a page with ``text`` between the line ``mark`` and the line :data:`END`.

    Raises:
        ValueError: The page does not have exactly one place for it.
    """
    before, begin, rest = page.read_text('utf-8').partition(f'{mark}\n')
    _, end, after = rest.partition(END)
    if not begin or not end or mark in after:
        raise ValueError(f'{page}: write the lines {mark} and {END} once, the tables go between')
    return f'{before}{begin}\n{text}\n\n{end}{after}'
