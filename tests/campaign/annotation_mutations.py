"""What happens to annotation files: by hand, in editors, in transfer, on purpose."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from campaign.annotation_formats import Format
from campaign.annotation_texts import as_json
from helpers.hostile_pickles import HOSTILE

Mutation = Callable[[bytes, random.Random], bytes]


def flip(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]


def insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data) + 1)
    piece = bytes(rng.choice(_PIECES), 'utf-8') if rng.random() < 0.7 else rng.randbytes(3)
    return data[:place] + piece + data[place:]


_PIECES = [*'"\',;:\\{[-1./# \t\n\r\x00\x0b\x1a', '../', '\ufeff', '\u2028', '\xa0', '\u0301']
_PIECES += ['NaN', 'null', '\\ud800', '\\u0000', '""', '//']


def cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def drop(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + data[place + rng.randint(1, 20) :]


def on_lines(change: Callable[[list[bytes], int, random.Random], None]) -> Mutation:
    def mutation(data: bytes, rng: random.Random) -> bytes:
        lines = data.splitlines(keepends=True)
        change(lines, rng.randrange(len(lines)), rng)
        return b''.join(lines)

    mutation.__name__ = change.__name__
    return mutation


def double_line(lines: list[bytes], place: int, rng: random.Random) -> None:
    lines.insert(rng.randint(0, len(lines)), lines[place])


def delete_line(lines: list[bytes], place: int, rng: random.Random) -> None:
    del lines[place]


def swap_lines(lines: list[bytes], place: int, rng: random.Random) -> None:
    other = rng.randrange(len(lines))
    lines[place], lines[other] = lines[other], lines[place]


def join_lines(lines: list[bytes], place: int, rng: random.Random) -> None:
    lines[place] = lines[place].rstrip(b'\n')


def blank_line(lines: list[bytes], place: int, rng: random.Random) -> None:
    lines.insert(place, rng.choice([b'\n', b' \n', b'\t\t\n', b',,,\n', b'\r\n']))


def header_line(lines: list[bytes], place: int, rng: random.Random) -> None:
    header = rng.choice(['path label', 'id,name', 'name', 'video_id', '# a comment', 'path,label'])
    lines.insert(0, header.encode() + b'\n')


def number_lines(data: bytes, rng: random.Random) -> bytes:
    start, mark = rng.randint(0, 1), rng.choice([' ', ',', '\t', ': ', '. ', ') '])
    lines = data.decode().splitlines()
    if rng.random() < 0.3:
        return '\n'.join(f'{line}{mark}{i}' for i, line in enumerate(lines, start)).encode()
    return '\n'.join(f'{i}{mark}{line}' for i, line in enumerate(lines, start)).encode()


def shift_numbers(data: bytes, rng: random.Random) -> bytes:
    by = rng.choice([-1, 1, 0.5, 100])
    pattern = rng.choice([rb'\b\d+(?=\n)', rb'(?m)^\d+', rb'(?<=")\d+(?=")'])
    return re.sub(pattern, lambda match: str(int(match[0]) + by).encode(), data)


def separate(data: bytes, rng: random.Random) -> bytes:
    old, new = rng.sample([b' ', b',', b'\t', b';', b'  ', b', '], 2)
    return data.replace(old, new)


def recode(data: bytes, rng: random.Random) -> bytes:
    encoding = rng.choice(['utf-16', 'utf-16-le', 'utf-32', 'cp1252', 'utf-16-be', 'cp437'])
    return data.decode().encode(encoding)


def huge_field(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return (
        data[:place] + rng.choice([b'a', b'"', b'[', b'{"a":', b'1', b' ']) * 200_000 + data[place:]
    )


_NAME = re.compile(rb'(my clips/|[c]af\xc3\xa9/|x/)?v[_ ][\w\xc3\xbc]+(\.mp4)?')
_ESCAPES = ['../../etc/passwd', '/etc/passwd', 'a/../../b.mp4', '..', 's3://other/a.mp4']


def escape(data: bytes, rng: random.Random) -> bytes:
    names = list(_NAME.finditer(data))
    if not names:
        return data
    place = rng.choice(names)
    return data[: place.start()] + rng.choice(_ESCAPES).encode() + data[place.end() :]


def normal_form(data: bytes, rng: random.Random) -> bytes:
    return unicodedata.normalize('NFD', data.decode()).encode()


# --- JSON ---


def json_node(data: bytes, rng: random.Random) -> bytes:
    content = json.loads(data)
    places: list[tuple[Any, Any]] = []
    collect_places(content, places)
    owner, key = rng.choice(places)
    others = [
        None,
        True,
        3,
        -1.5,
        'text',
        '',
        [],
        {},
        [None],
        ['a', 'b'],
        {'caption': 'a'},
        [[]],
        '\0',
    ]
    owner[key] = rng.choice([*others, float('nan'), float('inf'), '\ud800', 10**400])
    return json.dumps(content, indent=1).encode()


def collect_places(node: Any, places: list[tuple[Any, Any]]) -> None:
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        places.append((node, key))
        if isinstance(value, (dict, list)):
            collect_places(value, places)


def json_double(data: bytes, rng: random.Random) -> bytes:
    """An entry of the outermost object or of one in it, once more."""
    lines = data.decode().split('\n')
    entries = [i for i, line in enumerate(lines) if re.match(r' +".*": .*[^\[{],?$', line)]
    if not entries:
        return data
    place = rng.choice(entries)
    again = re.sub(r': ".*"', ': "something else"', lines[place].rstrip(',')) + ','
    return '\n'.join([*lines[:place], again, *lines[place:]]).encode()


def json_deep(data: bytes, rng: random.Random) -> bytes:
    depth = rng.choice([50, 900, 5000, 200_000])
    place = rng.choice([m.start() for m in re.finditer(rb'"', data)])
    opening, closing = rng.choice([(b'[', b']'), (b'{"a":', b'}')])
    return data[:place] + opening * depth + b'1' + closing * depth + data[place:]


def json_lines(data: bytes, rng: random.Random) -> bytes:
    content = json.loads(data)
    items = content.items() if isinstance(content, dict) else content
    return b''.join(json.dumps(item).encode() + b'\n' for item in items)


def json_turned(data: bytes, rng: random.Random) -> bytes:
    content = json.loads(data)
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        return json.dumps([content]).encode()
    turned = {value: key for key, value in content.items()}
    return as_json(rng.choice([turned, list(content)]))


# --- pickles ---


def pickle_step(data: bytes, rng: random.Random) -> bytes:
    """A step of the pickle machine in the place of another, perhaps with a huge length."""
    steps = b'(.0IKLMNRSTUVX[\\]abcdeghijlopqrstu}\x80\x81\x83\x85\x86\x87\x88\x8a\x8b\x8c\x8d\x8e'
    steps += b'\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98'
    place = rng.randrange(len(data))
    length = rng.choice(
        [b'', b'\xff\xff\xff\x7f', b'\x00\x00\x00\x00\x01\x00\x00\x00', b'\xff' * 4]
    )
    return data[:place] + bytes([rng.choice(steps)]) + length + data[place + rng.randint(0, 1) :]


def pickle_hostile(data: bytes, rng: random.Random) -> bytes:
    return rng.choice(list(HOSTILE.values()))


ANY: list[Mutation] = [flip, flip, insert, insert, cut, drop]
TEXT: list[Mutation] = [
    *(on_lines(f) for f in (double_line, delete_line, swap_lines, join_lines, blank_line)),
    *(on_lines(header_line), number_lines, shift_numbers, separate, recode, huge_field, escape),
]
JSON: list[Mutation] = [json_node, json_node, json_node, json_double, json_double, json_deep]
JSON += [json_lines, json_turned]
PICKLE: list[Mutation] = [pickle_step, pickle_step, pickle_hostile, *ANY]
KEEPS_MEANING: dict[str, Mutation] = {
    'mark': lambda data, rng: b'\xef\xbb\xbf' + data,
    'CRLF': lambda data, rng: data.replace(b'\n', b'\r\n'),
    'CR': lambda data, rng: data.replace(b'\n', b'\r'),
    'blank lines at the end': lambda data, rng: data + b'\n \n\n',
    'blank lines before': lambda data, rng: b'\n\n' + data,
    'no last line end': lambda data, rng: data.rstrip(b'\n'),
    'all at once': lambda data, rng: b'\xef\xbb\xbf\r\n' + data.replace(b'\n', b'\r\n') + b'\r\n',
}


def mutate(kind: Format, rng: random.Random) -> tuple[str, bytes]:
    """A mutation's name, and the file after it."""
    if kind.file.endswith('.pkl'):
        mutation = rng.choice(PICKLE)
        return mutation.__name__, mutation(kind.content, rng)
    if rng.random() < 0.15:
        name = rng.choice(list(KEEPS_MEANING))
        return name, KEEPS_MEANING[name](kind.content, rng)
    mutations = [*ANY, *TEXT, *(JSON * 2 if kind.file.endswith('.json') else [normal_form])]
    mutation = rng.choice(mutations)
    return getattr(mutation, '__name__', ''), mutation(kind.content, rng)
