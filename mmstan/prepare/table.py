"""Reading a table: ``path,label[,split][,start,end]`` or ``path,caption[,split][,start,end]``."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmstan.config.slips import find_slip
from mmstan.datasets.annotation_files import normalise
from mmstan.datasets.video_files import Spellings
from mmstan.prepare.entries import Entry, Source, Split, find_split, name_below
from mmstan.text_files import Row, TextFile
from mmstan.wording import count_things, name_a_few, show

COLUMNS = ('path', 'label', 'caption', 'split', 'start', 'end')


def read_table(path: str | Path) -> Source:
    """The videos that a table names; paths are relative to the table's folder.

    Rows of one video and part are joined: their captions become the video's. Start and end are
    seconds; an empty one is the beginning or the end of the video.

    Args:
        path: A text file whose first line names its columns; commas, semicolons, tabs or bars
            stand between the fields.

    Raises:
        ValueError: A column is missing, a field is none, or two rows disagree; names the line.
        OSError: The table cannot be read.
    """
    file = TextFile('', str(path))
    rows = file.read_table('path')
    if not rows:
        raise file.error('it has a header and no row; name a video a row')
    source = Source(str(path), os.path.dirname(os.path.abspath(path)))
    columns = _check_columns(file, rows[0], source)
    rows = file.read_table(*sorted(columns))  # again, to refuse one that is there twice
    spellings = Spellings(source.root)
    entries = [_read_row(file, row, columns, spellings, source.root) for row in rows]
    _check_splits(file, entries)
    source.entries = _join_rows(file, entries, source)
    return source


def _check_columns(file: TextFile, row: Row, source: Source) -> set[str]:
    """The columns that are read; others are noted, and slips refused."""
    columns = set(row.fields) & {*COLUMNS}
    others = [name for name in row.fields if name not in COLUMNS]
    for name in others:
        meant = find_slip(name.lower(), {*COLUMNS} - columns)
        if meant and name:
            raise file.error(f'the column {show(name)}: is it {show(meant)}? rename it', line=1)
    if ('label' in columns) == ('caption' in columns):
        found = 'both label and caption' if 'label' in columns else 'neither label nor caption'
        raise file.error(
            f'its first line names {found}: give the columns path,label for classes, or '
            'path,caption for retrieval',
            line=1,
        )
    if others:
        source.notes.append(
            f'columns of {source.path} that are not read: {name_a_few(map(show, others))}'
        )
    return columns


def _read_row(
    file: TextFile, row: Row, columns: set[str], spellings: Spellings, root: str
) -> Entry:
    fields = {name: row.fields[name].strip() for name in columns}
    text = 'label' if 'label' in columns else 'caption'
    for name in ('path', text):
        if not fields[name]:
            raise file.error(f'the row has no {name}; give one, or remove the row', line=row.line)
    start, end = (_read_seconds(file, row.line, fields, name) for name in ('start', 'end'))
    if end is not None and end <= (start or 0):
        raise file.error(
            f'the part begins at {start or 0:g} s and ends at {end:g} s; the end comes after the '
            'start',
            line=row.line,
        )
    path = os.path.normpath(spellings.find(os.path.normpath(fields['path'])))
    return Entry(
        path,
        name_below(path, root),
        normalise(fields['label']) if text == 'label' else None,
        (fields['caption'],) if text == 'caption' else (),
        _read_split(file, row.line, fields.get('split', '')),
        start or 0.0,
        end,
        row.line,
    )


def _read_seconds(file: TextFile, line: int, fields: dict[str, str], name: str) -> float | None:
    text = fields.get(name, '')
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise file.error(f'{name}={show(text)} is no number of seconds from 0 on', line=line)
    return seconds


def _read_split(file: TextFile, line: int, text: str) -> Split | None:
    split = find_split(text)
    if text and split is None:
        raise file.error(f'split={show(text)} is none of train, val and test', line=line)
    return split


def _check_splits(file: TextFile, entries: Sequence[Entry]) -> None:
    without = [entry for entry in entries if entry.split is None]
    if without and len(without) < len(entries):
        raise file.error(
            f'{count_things(len(without), "row")} of {len(entries)} have no split; give one to '
            'each row, or to none',
            line=without[0].line,
        )


def _check_captions(file: TextFile, entries: Iterable[Entry]) -> None:
    """Refuse other captions of a video in another split: one file of captions serves all splits."""
    first: dict[tuple[str, float, float | None], Entry] = {}
    for entry in entries:
        before = first.setdefault((entry.path, entry.start, entry.end), entry)
        if {*before.captions} != {*entry.captions}:
            raise file.error(
                f'{entry.name} has other captions in {entry.split} than in {before.split}; give it '
                'one split, or the same captions in both',
                line=entry.line,
            )


def _join_rows(file: TextFile, entries: Sequence[Entry], source: Source) -> list[Entry]:
    """One entry a video (or part of it) and split, with all its captions."""
    joined: dict[tuple[str, float, float | None, Split | None], Entry] = {}
    repeated = 0
    for entry in entries:
        key = (entry.path, entry.start, entry.end, entry.split)
        before = joined.setdefault(key, entry)
        if before is entry:
            continue
        if before.label != entry.label:
            raise file.error(
                f'{entry.name} has the label {show(entry.label)} here and {show(before.label)} in '
                f'line {before.line}; a video has one label',
                line=entry.line,
            )
        new = tuple(text for text in entry.captions if text not in before.captions)
        repeated += not new
        joined[key] = Entry(**{**vars(before), 'captions': before.captions + new})
    _check_captions(file, joined.values())
    if repeated:
        source.notes.append(f'rows that say again what another row says: {repeated}')
    return list(joined.values())
