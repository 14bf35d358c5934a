"""Names of classes, from the files that data sets come with."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

_FORMATS = (
    'it holds one class name a line, in class order (.txt), or columns id,name (.csv), or '
    '{name: id} (.json)'
)


def read_class_names(source: str | Sequence[str]) -> list[str]:
    """Class names in class order.

    Args:
        source: The names themselves, or a file of them: ``.txt`` (one name a line, MMAction2's
            label maps), ``.csv`` (columns ``id`` and ``name``, X-CLIP's) or ``.json``
            (``{name: id}``, Something-Something's).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of another form, the ids are not 0 to K - 1, a name is empty, or
            each begins with its own number (``1 brush_hair``, as in a ``classInd.txt``).
    """
    names = _from_file(Path(source)) if isinstance(source, str) else list(source)
    empty = [i for i, name in enumerate(names) if not name.strip()]
    if not names or empty:
        where = f'classes {empty[:5]} have' if empty else 'there are'
        raise ValueError(f'class_names={source!r}: {where} no name')
    if _is_numbered(names):
        raise ValueError(
            f'class_names={source!r}: each name begins with its own number ({names[0]!r}), which '
            'the text tower would read; remove the numbers (tools/data/class_names.py does, for '
            'UCF101 and HMDB51)'
        )
    return names


def _is_numbered(names: Sequence[str]) -> bool:
    """Whether each of several names begins with its own place, counted from 0 or from 1."""
    parts = [name.split(maxsplit=1) for name in names]
    places = ([str(i + start) for i in range(len(names))] for start in (0, 1))
    numbered = [part[0] for part in parts if len(part) == 2]
    return len(names) > 1 and numbered in places


def _from_file(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"class_names='{path}': there is no such file; {_FORMATS}")
    text = path.read_text('utf-8-sig')  # spreadsheets put a byte order mark in front
    if path.suffix not in ('.csv', '.json'):
        return text.splitlines()
    try:
        if path.suffix == '.csv':
            rows = csv.DictReader(io.StringIO(text, newline=''))
            pairs = sorted((int(row['id']), row['name']) for row in rows)
        else:
            pairs = sorted((int(i), name) for name, i in json.loads(text).items())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"class_names='{path}' is another kind of file; {_FORMATS}") from error
    if [i for i, _ in pairs] != list(range(len(pairs))):
        raise ValueError(f"class_names='{path}': the ids must be 0 to {len(pairs) - 1}, each once")
    return [name for _, name in pairs]


def class_index_names(lines: Sequence[str]) -> list[str]:
    """Names in class order from UCF101's ``classInd.txt``, which MMAction2 makes for HMDB51 too.

    Underscores become spaces; UCF101's ``ApplyEyeMakeup`` stays one word, as X-CLIP has it.

    Args:
        lines: ``number name`` a line; the numbers begin at 1.

    Raises:
        ValueError: A line is of another form, or the numbers are not 1 to K in this order.

    >>> class_index_names(['1 brush_hair', '2 cartwheel'])
    ['brush hair', 'cartwheel']
    """
    pairs = [line.split(maxsplit=1) for line in lines if line.strip()]
    if [pair[0] for pair in pairs] != [str(i + 1) for i in range(len(pairs))] or not all(
        len(pair) == 2 for pair in pairs
    ):
        raise ValueError(f"lines={list(lines)[:2]}... must be '1 name', '2 name' and so on")
    return [name.strip().replace('_', ' ') for _, name in pairs]


def class_words(key: str) -> str:
    """The ``key`` of EPIC_100_{verb,noun}_classes.csv as words for a text tower.

    >>> class_words('turn-on'), class_words('board:chopping')
    ('turn on', 'chopping board')
    """
    return ' '.join(reversed(key.split(':'))).replace('-', ' ').strip()
