"""Names of classes, from the files that data sets come with."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.fileio import exists

from mmstan.text_files import TextFile, has_control_characters
from mmstan.wording import show

_FORMATS = (
    'it holds one class name a line, in class order (.txt), or columns id,name (.csv), or '
    '{name: id} (.json)'
)
_HEADERS = {
    *(
        'action',
        'actions',
        'category',
        'class',
        'class_name',
        'class_names',
        'classes',
        'id',
        'idx',
    ),
    *('index', 'label', 'label_name', 'labels', 'name', 'names', 'path', 'video_id'),
}
_IN_FRONT = re.compile(r'\W?(\d+)(\s*[,:;|\t]|[\W_])\s*\S.*', re.ASCII | re.DOTALL)
_AT_END = re.compile(r'.*\S(\s*[,:;|\t]|[\W_])\s*(\d+)\W?', re.ASCII | re.DOTALL)
_VIDEO = re.compile(r'.+\.\w{2,4}[\s,]+\d+\s*', re.ASCII)
_ID = re.compile(r'\d{1,9}', re.ASCII)


def read_class_names(source: str | Sequence[str]) -> list[str]:
    """Class names in class order.

    Args:
        source: The names themselves, or a file of them: ``.txt`` (one name a line, MMAction2's
            label maps; blank lines before and after them are no matter), ``.csv`` (columns ``id``
            and ``name``, X-CLIP's) or ``.json`` (``{name: id}``, Something-Something's).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is of another form, the ids are not 0 to K - 1, a name is empty, is
            there twice, or stands in quotation marks; or each has its own number in front or
            behind (``1 brush_hair``, as in a ``classInd.txt``), or the first is a header.
    """
    if isinstance(source, str):
        return _from_file(source)
    _check_names(list(source), _Names(source))
    return [name.strip() for name in source]


class _Names:
    """Names in a config, whose places are their indices."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def error(self, problem: str, *, line: int | None = None) -> ValueError:
        """As that of a :class:`TextFile`."""
        place = '' if line is None else f', class {line}'
        return ValueError(f'class_names={show(list(self.names))}{place}: {problem}')


def _from_file(source: str) -> list[str]:
    if not exists(source) or Path(source).is_dir():
        raise FileNotFoundError(f"class_names='{source}': there is no such file; {_FORMATS}")
    file = TextFile('class_names', source)
    kind = Path(source).suffix.lower()
    if kind == '.json':
        return _from_json(file)
    if kind == '.csv':
        rows = file.read_table('id', 'name')
        ids = [_read_id(file, row.fields['id'], row.line) for row in rows]
        return _order_names(file, [row.fields['name'] for row in rows], ids, [r.line for r in rows])
    lines = file.read_lines()
    if lines and lines[0].text.lstrip()[0] in '{[':
        raise file.error(f'it looks like JSON; call it .json; {_FORMATS}', line=lines[0].number)
    for i, (before, after) in enumerate(itertools.pairwise(lines)):
        if after.number != before.number + 1:
            raise file.error(
                f'the line is blank: classes [{i + 1}] have no name; give one, or remove the line',
                line=before.number + 1,
            )
    _check_names([line.text for line in lines], file, [line.number for line in lines])
    return [line.text.strip() for line in lines]


def _from_json(file: TextFile) -> list[str]:
    data = file.read_json()
    if not isinstance(data, dict):
        raise file.error(f'it is another kind of file, with a {type(data).__name__}; {_FORMATS}')
    lines = [file.line_of(name) or 1 for name in data]
    try:
        ids = [_read_id(file, value, line) for value, line in zip(data.values(), lines)]
    except ValueError:
        if all(_ID.fullmatch(key) for key in data):
            raise file.error(f'it holds {{id: name}}; turn it around: {_FORMATS}') from None
        raise
    return _order_names(file, [*data], ids, lines)


def _read_id(file: TextFile, value: Any, line: int) -> int:
    text = str(value).strip() if isinstance(value, (str, int)) else ''
    if isinstance(value, bool) or not _ID.fullmatch(text):
        raise file.error(
            f'the id {show(value)} is not a whole number; it is another kind of file; {_FORMATS}',
            line=line,
        )
    return int(text)


def _order_names(
    file: TextFile, names: Sequence[str], ids: Sequence[int], lines: Sequence[int]
) -> list[str]:
    """The names by their ids, which are 0 to K - 1."""
    if sorted(ids) != list(range(len(ids))):
        start = ', and seem to start at 1' if sorted(ids) == [*range(1, len(ids) + 1)] else ''
        wrong = next(i for i, number in enumerate(ids) if number >= len(ids) or number in ids[:i])
        raise file.error(
            f'the ids must be 0 to {len(ids) - 1}, each once{start}; {ids[wrong]} of '
            f'{show(names[wrong])} is the first that is not',
            line=lines[wrong],
        )
    in_order = sorted(zip(ids, names, lines))
    _check_names([name for _, name, _ in in_order], file, [line for *_, line in in_order])
    return [name.strip() for _, name, _ in in_order]


def _check_names(
    names: Sequence[str], file: TextFile | _Names, lines: Sequence[int] | None = None
) -> None:
    """Raise ValueError for names that are none, or not of these classes."""
    places = range(len(names)) if lines is None else lines
    if not names:
        raise file.error(f'there are no names; {_FORMATS}')
    first: dict[str, int] = {}
    for i, (name, place) in enumerate(zip(names, places)):
        if not isinstance(name, str) or not name.strip() or has_control_characters(name):
            raise file.error(f'classes [{i}] have no name, but {show(name)}', line=place)
        name = name.strip()
        if name in first:
            raise file.error(
                f'the name {show(name)} is also that of class {first[name]}; a name is of one '
                'class: remove it or tell them apart',
                line=place,
            )
        first[name] = i
        if len(name) > 2 and name[0] == name[-1] == '"' and '"' not in name[1:-1].replace('""', ''):
            raise file.error(f'{name} stands in quotation marks; remove them', line=place)
        if name[-1] in ',;':
            raise file.error(f'{show(name)} ends with {name[-1]!r}; remove it', line=place)
    _check_header(names, file, places)
    _check_numbers(names, file, places)


def refuse_equal_texts(names: Sequence[str]) -> None:
    """Raise ValueError if two names are one text to a text tower.

    CLIP's tokenizer writes all letters small and joins blanks.
    """
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(' '.join(name.lower().split()), name)
        if other != name:
            raise ValueError(
                f'class_names: {show(other)} and {show(name)} are one text to the text tower, '
                'which reads neither case nor doubled blanks; rename one, or join the two classes'
            )


def _check_header(names: Sequence[str], file: TextFile | _Names, places: Sequence[int]) -> None:
    words = {word for word in re.split(r'[\s,;:|]+', names[0].strip().lower()) if word}
    if len(names) > 1 and (words <= _HEADERS or names[0].lstrip()[0] == '#'):
        raise file.error(
            f'{show(names[0])} looks like a header or a comment, which would be the name of class '
            '0; remove it, or call the file .csv if it has columns',
            line=places[0],
        )


def _check_numbers(names: Sequence[str], file: TextFile | _Names, places: Sequence[int]) -> None:
    """Refuse names with their own numbers, which the text tower would read."""
    if all(map(_VIDEO.fullmatch, names)):
        raise file.error(f'{show(names[0])} is of a list of videos; {_FORMATS}', line=places[0])
    for pattern, number, mark, side in ((_IN_FRONT, 1, 2, 'begins'), (_AT_END, 2, 1, 'ends')):
        found = [pattern.fullmatch(name.strip()) for name in names]
        matches = [match for match in found if match]
        if len(names) < 2 or len(matches) < len(names):
            continue
        numbers = sorted(int(match[number]) for match in matches)
        columns = all(match[mark].strip(' ') in {*',:;|\t'} for match in matches)
        in_turn = any(numbers == [*range(start, start + len(names))] for start in (0, 1))
        rest = {name.strip().rstrip('0123456789 ') for name in names}
        needed = side == 'ends' and len(rest) < len(names)  # 'motion 0', 'motion 1'
        if columns or (in_turn and not needed):
            raise file.error(
                f'each name {side} with its own number ({show(names[0].strip())}), which the text '
                'tower would read; remove the numbers (tools/data/class_names.py does, for UCF101 '
                'and HMDB51), or give columns id,name as .csv',
                line=places[0],
            )


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
    for i, pair in enumerate(pairs):
        if len(pair) != 2 or pair[0] != str(i + 1):
            raise ValueError(
                f"{show(' '.join(pair))} comes in place of '{i + 1} name'; lines must be '1 name', "
                "'2 name' and so on"
            )
    return [name.strip().replace('_', ' ') for _, name in pairs]


def class_words(key: str) -> str:
    """The ``key`` of EPIC_100_{verb,noun}_classes.csv as words for a text tower.

    >>> class_words('turn-on'), class_words('board:chopping')
    ('turn on', 'chopping board')
    """
    return ' '.join(reversed(key.split(':'))).replace('-', ' ').strip()
