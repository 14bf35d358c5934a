"""Strict references for annotation files, which know nothing of the project.

They read the plainest form of a file by rules of a few lines, and raise ValueError for everything
else.
"""

from __future__ import annotations

import io
import pickle
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from campaign.annotation_texts import (
    IDS,
    NAMES,
    TEXTS,
    Pairs,
    labelled,
    lines_of,
    name_of,
    pairs_of,
    plain,
    table_of,
    text_of,
    texts_of,
)


def captions_of(pairs: Any, paragraph: bool = False) -> dict[str, list[str]]:
    """Captions by name, those of one name together."""
    found: dict[str, list[str]] = {}
    for name, value in pairs.items() if type(pairs) is dict else pairs:
        texts = [text for text in texts_of(value) if text]
        known = found.setdefault(name_of(name), [])
        known += [text for text in texts if text not in known] if known else texts
    if paragraph:
        found = {name: [' '.join(texts)] for name, texts in found.items() if texts}
    found = {name: texts for name, texts in found.items() if texts}
    if not found:
        raise ValueError('empty')
    return found


def need(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f'no {kind}')
    return value


def refer_captions(data: bytes) -> Any:
    content = pairs_of(data, doubled=True)
    if type(content) not in (dict, Pairs):
        raise ValueError('no object')
    return captions_of(content)


def refer_entries(key: str, name: str, text: str, paragraph: bool) -> Callable[[bytes], Any]:
    def refer(data: bytes) -> Any:
        content = pairs_of(data)
        entries = need(need(content, dict).get(key) if key else content, list)
        grouped: dict[str, list[str]] = {}
        for entry in entries:
            value = plain(need(need(entry, dict).get(text), str))
            grouped.setdefault(name_of(entry.get(name)), []).append(value)
        found = {k: [t for t in v if t] for k, v in grouped.items()}
        found = {k: [' '.join(v)] if paragraph else v for k, v in found.items() if v}
        if not found:
            raise ValueError('empty')
        return found

    return refer


def refer_activitynet(data: bytes) -> Any:
    content = need(pairs_of(data), dict)
    sentences = {k: need(need(v, dict).get('sentences'), list) for k, v in content.items()}
    return captions_of(sentences, paragraph=True)


def refer_vatex(data: bytes) -> Any:
    content = need(pairs_of(data), dict)
    return captions_of(
        {k: need(v.get('enCap'), list) if type(v) is dict else v for k, v in content.items()}
    )


def refer_sentences(data: bytes) -> Any:
    grouped: dict[str, list[str]] = {}
    for row in table_of(data, ['video_id', 'sentence']):
        grouped.setdefault(name_of(row['video_id']), []).append(plain(row['sentence']))
    return captions_of(grouped)


def refer_lsmdc(data: bytes) -> Any:
    grouped: dict[str, list[str]] = {}
    for line in lines_of(data):
        columns = line.split('\t', 5)
        if len(columns) < 6:
            raise ValueError(line)
        grouped.setdefault(name_of(columns[0]), []).append(columns[5].strip())
    return captions_of(grouped)


def refer_split(names: list[Any]) -> dict[str, list[str]]:
    """Each video of the list once, those without captions left out."""
    names = [str(name) if type(name) is int else plain(name) for name in names]
    if not all(names):
        raise ValueError('no name')
    normal = [unicodedata.normalize('NFC', name) for name in names]
    found = {name: [TEXTS[0], TEXTS[2]] for name in normal if name in IDS}
    if not found:
        raise ValueError('empty')
    return found


def refer_segments(data: bytes) -> Any:
    found = []
    columns = ['video_id', 'start_timestamp', 'stop_timestamp', 'verb_class', 'noun_class']
    for row in table_of(data, columns):
        times = []
        for key in ('start_timestamp', 'stop_timestamp'):
            match = re.fullmatch(r'([0-9]+):([0-9]{1,2}):([0-9]{1,2}(\.[0-9]*)?)', row[key].strip())
            if not match or int(match[2]) > 59 or float(match[3]) >= 60:
                raise ValueError('time')
            times.append(3600 * int(match[1]) + 60 * int(match[2]) + float(match[3]))
        labels = [row[key].strip() for key in ('verb_class', 'noun_class')]
        if not all(re.fullmatch('[0-9]{1,9}', x) for x in labels) or times[1] <= times[0]:
            raise ValueError('row')
        video = name_of(row['video_id'])
        if video not in {name_of(i) for i in IDS}:
            raise ValueError('video')
        found.append((video, *times, [int(x) for x in labels]))
    if not found:
        raise ValueError('empty')
    return found


class Eight:
    """NumPy's type of a signed number of eight bytes; NumPy's own dies of some states."""

    def __init__(self, code: str, *_: Any) -> None:
        self.order, kind = (code[0], code[1:]) if code[0] in '<>=|' else ('<', code)
        if kind != 'i8':
            raise ValueError(code)

    def __setstate__(self, state: Any) -> None:
        if state != (3, state[1], None, None, None, -1, -1, 0) or state[1] not in tuple('<>=|'):
            raise ValueError(state)
        self.order = state[1]

    def number(self, data: bytes | str) -> int:
        raw = data.encode('latin-1') if isinstance(data, str) else data
        if len(raw) != 8:
            raise ValueError(raw)
        return int.from_bytes(raw, 'big' if self.order == '>' else 'little', signed=True)


def refer_pickle(data: bytes) -> Any:
    class Numbers(pickle._Unpickler):  # type: ignore[name-defined, misc]
        def find_class(self, module: str, name: str) -> Any:
            known = {
                ('numpy', 'dtype'): Eight,
                ('numpy._core.multiarray', 'scalar'): Eight.number,
                ('numpy.core.multiarray', 'scalar'): Eight.number,
            }
            return known[module, name]

    try:
        return Numbers(io.BytesIO(data), encoding='latin1').load()
    except Exception as error:  # whatever a damaged pickle runs into
        raise ValueError('pickle') from error


def refer_msvd(data: bytes) -> Any:
    content = need(refer_pickle(data), dict)
    return captions_of(
        {
            name: [' '.join(filter(None, texts_of(words))) for words in need(texts, list)]
            for name, texts in content.items()
        }
    )


def refer_index(data: bytes) -> Any:
    content, found = need(refer_pickle(data), dict), {}
    for name, number in content.items():
        name = name_of(name)
        if name in IDS[:2]:
            found[name] = [[TEXTS[0], TEXTS[2]][need(number, int)]] if number >= 0 else need(0, str)
    if not found:
        raise ValueError('empty')
    return found


def refer_labels(data: bytes) -> Any:
    labels = {label for _, label in labelled(data, inside=False)}
    if max(labels) >= len(NAMES) or (len(labels) > 2 and labels == {*range(1, max(labels) + 1)}):
        raise ValueError('labels')
    return 'classes'


def refer_classes(data: bytes) -> list[str]:
    """One name a line, none of them twice, none blank between others."""
    text = text_of(data).replace('\r\n', '\n').replace('\r', '\n')
    names = [line.removeprefix('\ufeff').strip() for line in text.split('\n')]
    while names and not names[0]:
        del names[0]
    while names and not names[-1]:
        del names[-1]
    if not names:
        raise ValueError('empty')
    return order(dict(enumerate(names)))


def refer_class_table(data: bytes) -> list[str]:
    rows = [(row['id'].strip(), row['name']) for row in table_of(data, ['id', 'name'])]
    return order(numbered(rows))


def refer_class_json(data: bytes) -> list[str]:
    content = need(pairs_of(data), dict)
    return order(numbered([(str(i) if type(i) is int else i, name) for name, i in content.items()]))


def numbered(rows: list[tuple[Any, str]]) -> dict[int, str]:
    ids = [int(i) for i, _ in rows if re.fullmatch('[0-9]{1,9}', need(i, str).strip())]
    if len(set(ids)) < len(rows):
        raise ValueError('ids')
    return dict(zip(ids, (name for _, name in rows)))


def order(names: dict[int, str]) -> list[str]:
    found = [plain(names[i]) for i in sorted(names)]
    if sorted(names) != list(range(len(found))) or not all(found) or len({*found}) < len(found):
        raise ValueError('names')
    return found
