"""Strict reading of text, lines, tables and JSON, which knows nothing of the project."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

VIDEOS = ['v_a.mp4', 'my clips/v b.mp4', 'caf\u00e9/v_\u00fc.mp4', 'v_d.mp4', 'x/v_e.mp4']
IDS = ['v_a', 'v_b1', 'v_\u00fc', 'v_d', 'v_e']
TEXTS = ['a man, who sings', 'caf\u00e9 "Nord" opens', 'two dogs', 'rain; then snow', "it's late"]
NAMES = ['air drumming', 'playing "kazoo", badly', 'k\u00fcssen', 'bend/bow (at the waist)', 'yoga']


def text_of(data: bytes) -> str:
    """UTF-8 with or without a mark, and no control characters."""
    text = data.decode('utf-8').removeprefix('\ufeff')
    if has_control(text):
        raise ValueError('control characters')
    return text


def lines_of(data: bytes) -> list[str]:
    lines = text_of(data).replace('\r\n', '\n').replace('\r', '\n').split('\n')
    return [line.removeprefix('\ufeff') for line in lines if line.removeprefix('\ufeff').strip()]


def plain(text: Any) -> str:
    """A name or a caption."""
    if not isinstance(text, str) or has_control(text):
        raise ValueError('no text')
    return text.strip()


def has_control(text: str) -> bool:
    return bool(re.search('[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]', text))


def name_of(name: Any) -> str:
    name = str(name) if type(name) is int else plain(name)
    if not name or name.startswith('/') or '://' in name or climbs(name):
        raise ValueError('no name')
    return unicodedata.normalize('NFC', name)


def climbs(name: str) -> bool:
    depth = 0
    for part in name.split('/'):
        depth += {'..': -1, '.': 0, '': 0}.get(part, 1)
        if depth < 0:
            return True
    return False


def labelled(data: bytes, *, inside: bool = True) -> list[tuple[str, int]]:
    """``path label`` a line, the path below a folder."""
    found = []
    for line in lines_of(data):
        match = re.match(r'^[ \t]*(.*[^ \t])[ \t]+([0-9]{1,9})$', line.strip())
        path = match[1].strip() if match else ''
        if not match or path[-1] in ',;' or re.search(r'[ \t][-+]?\d+(\.\d*)?$', path):
            raise ValueError(line)
        if len(path) > 2 and path[0] == path[-1] and path[0] in '\'"':
            path = path[1:-1]
        if inside and (path.startswith('/') or '://' in path[:9] or climbs(path)):
            raise ValueError(line)
        path = re.sub('/+', '/', path)  # a//b is the file a/b
        found.append((unicodedata.normalize('NFC', path), int(match[2])))
    if not found:
        raise ValueError('empty')
    return found


def table_of(data: bytes, columns: list[str]) -> list[dict[str, str]]:
    """A table with a header, by a parser of its own: one character after the other."""
    for delimiter in ',\t;|':
        rows = [r for r in split_table(text_of(data), delimiter) if any(f.strip() for f in r)]
        header = [field.strip() for field in rows[0]] if rows else []
        if set(columns) <= set(header):
            break
    else:
        raise ValueError('columns')
    if any(len(row) != len(header) for row in rows):
        raise ValueError('fields')
    if any(header.count(column) > 1 for column in columns):
        raise ValueError('twice')
    return [dict(zip(header, row)) for row in rows[1:]]


def split_table(text: str, delimiter: str) -> list[list[str]]:
    """A character after the other: at the start of a field, in it, in quotation marks or after."""
    rows: list[list[str]] = []
    row: list[str] = []
    field: list[str] = []
    state = 'start'
    for c in text.replace('\r\n', '\n').replace('\r', '\n') + '\n':
        if state == 'start' and c == '"':
            state = 'quoted'
        elif state == 'start' and c == ' ':
            continue
        elif state == 'quoted' and c == '"':
            state = 'closed'
        elif state == 'quoted':
            field.append(c)
        elif state == 'closed' and c == '"':
            field.append(c)
            state = 'quoted'
        elif c in (delimiter, '\n'):
            row.append(''.join(field))
            field, state = [], 'start'
            if c == '\n':
                rows.append(row)
                row = []
        elif state == 'closed':
            raise ValueError('after a quotation mark')
        else:
            field.append(c)
            state = 'open'
    if state == 'quoted':
        raise ValueError('open')
    return rows


def pairs_of(data: bytes, *, doubled: bool = False) -> Any:
    """JSON; ``doubled``: an object's pairs stay a list of pairs."""

    def once(pairs: list[tuple[str, Any]]) -> Any:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            if not doubled:
                raise ValueError('twice')
            return Pairs(pairs)
        return dict(pairs)

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        return json.loads(text_of(data), object_pairs_hook=once, parse_constant=refuse)
    except RecursionError:
        raise ValueError('nested') from None


class Pairs(list):
    """An object with a key that is there twice."""


def texts_of(value: Any) -> list[str]:
    value = [value] if isinstance(value, str) else value
    if type(value) is not list:
        raise ValueError('no captions')
    return [plain(text) for text in value]


# --- writing ---


def as_json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + '\n').encode()


def as_lines(*lines: str) -> bytes:
    return '\n'.join([*lines, '']).encode()


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if {*text} & {*',"'} else text


def numbered_names() -> bytes:
    return as_lines(*(f'{name} {i}' for i, name in enumerate(VIDEOS)))
