"""Answer a benchmark's questions, resuming, and compare the answers word by word."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmstan.chat.question_files import Item, find_video
from mmstan.chat.video_chat import VideoChat
from mmstan.datasets.readers import BrokenVideoError

_PUNCTUATION = str.maketrans('', '', string.punctuation)


class Part(NamedTuple):
    """The questions of one process: every ``of``-th one, from ``number`` (from 1) on."""

    number: int
    of: int

    def lines(self, out: Path) -> Path:
        """The file to which answers are appended as they come."""
        return out.with_name(f'{out.name}.{self.number}of{self.of}.lines')

    def holds(self, index: int) -> bool:
        """Whether the question ``index`` (from 0) is in this part."""
        return index % self.of == self.number - 1


def parse_part(text: str) -> Part:
    """``'1/2'`` -> the first of two parts.

    Raises:
        ValueError: It is no such text.
    """
    match = re.fullmatch(r'(\d+)/(\d+)', text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f'part={text}: two numbers, e.g. 1/2 for the first of two')
    return Part(int(match[1]), int(match[2]))


def fingerprint(settings: Mapping[str, Any], items: Sequence[Item]) -> str:
    """A short hash of settings and questions: equal if their answers may share a file."""
    asked = [[item.video, *item.questions] for item in items]
    made_from = json.dumps([{key: str(value) for key, value in settings.items()}, asked])
    return hashlib.sha256(made_from.encode()).hexdigest()[:16]


def answer_items(
    chat: VideoChat,
    items: Sequence[Item],
    videos: Path,
    out: Path,
    *,
    part: Part,
    batch: int,
    generation: dict[str, Any],
    progress: Callable[[int, int], None],
    made_from: str = '',
) -> list[dict[str, Any]] | None:
    """Answer the questions of a part; with the last part the whole output is written.

    An answer is appended to a file as it comes; another call goes on behind it. A video that cannot
    be read has an empty prediction, is named in the log, and is looked for again by another call.

    Args:
        chat: The dialogue model.
        items: All questions.
        videos: Folder of the videos.
        out: The output, a JSON list, one entry a line.
        part: Which questions are this call's.
        batch: Number of questions at a time.
        generation: Settings of :meth:`VideoChat.ask`.
        progress: Is called with the number of answers and of questions of the part.
        made_from: See :func:`fingerprint`; answers of another one are refused.

    Returns:
        All entries of the output; None while other parts are missing.

    Raises:
        ValueError: The file was made for other questions, or in another way.
    """
    lines = part.lines(out)
    known = read_lines(lines, items, made_from)
    _cut_half_a_line(lines)
    mine = [index for index in range(len(items)) if part.holds(index)]
    todo = [index for index in mine if not any(known.get(index, []))]
    with lines.open('a', encoding='utf-8') as file:
        for index, said in _answer(chat, items, videos, todo, batch, generation):
            known[index] = said
            file.write(json.dumps(dict(index=index, said=said, made_from=made_from)) + '\n')
            file.flush()
            progress(len(known), len(mine))
    for number in range(1, part.of + 1):
        known |= read_lines(Part(number, part.of).lines(out), items, made_from)
    if len(known) < len(items):
        return None
    entries = [
        {**item.fields, **dict(zip(item.keys, known[index]))} for index, item in enumerate(items)
    ]
    written = out.with_name(f'{out.name}.tmp')  # renamed at the end: never half a file
    rows = ',\n'.join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    written.write_text(f'[\n{rows}\n]\n', encoding='utf-8')
    written.replace(out)
    return entries


def read_lines(path: Path, items: Sequence[Item], made_from: str) -> dict[int, list[str]]:
    """The answers in a part's file, by the number of the question; a cut last line is ignored.

    Raises:
        ValueError: The file was made for other questions, or in another way.
    """
    if not path.exists():
        return {}
    known: dict[int, list[str]] = {}
    whole, *_ = path.read_text('utf-8').rpartition('\n')
    for line in whole.splitlines():
        entry = json.loads(line)
        index, said = entry['index'], entry['said']
        if entry.get('made_from') != made_from or index >= len(items):
            raise ValueError(
                f'{path} was made for other questions, or by another model or other settings: '
                'delete it to start again, or give another --out'
            )
        known[index] = said
    return known


def _cut_half_a_line(path: Path) -> None:
    """Drop the line that a killed process has not finished, so that the next one is whole."""
    text = path.read_text('utf-8') if path.exists() else ''
    if text and not text.endswith('\n'):
        path.write_text(text[: text.rfind('\n') + 1], 'utf-8')


def _answer(
    chat: VideoChat,
    items: Sequence[Item],
    videos: Path,
    todo: Sequence[int],
    batch: int,
    generation: dict[str, Any],
) -> Iterator[tuple[int, list[str]]]:
    """Number of a question -> its answers, a batch after another."""
    known: dict[str, Tensor | None] = {}
    for start in range(0, len(todo), batch):
        some = todo[start : start + batch]
        names = [items[index].video for index in some]
        known = {name: known[name] for name in names if name in known}
        for name in names:
            if name not in known:
                known[name] = _encode(chat, videos, name)
        found = [index for index in some if known[items[index].video] is not None]
        asked = [(index, question) for index in found for question in items[index].questions]
        tokens = [known[items[index].video] for index, _ in asked]
        said: dict[int, list[str]] = {index: [] for index in found}
        if asked:
            every = torch.cat([x for x in tokens if x is not None])
            answers = chat.answer(every, [question for _, question in asked], **generation)
            for (index, _), text in zip(asked, answers):
                said[index].append(text)
        for index in some:
            yield index, said.get(index, [''] * len(items[index].questions))


def _encode(chat: VideoChat, videos: Path, name: str) -> Tensor | None:
    """The tokens of a video; None, with a warning, if it is not there or cannot be read."""
    path = find_video(videos, name)
    if path is None:
        print_log(f'{videos} has no video {name}', 'current', logging.WARNING)
        return None
    try:
        return chat.encode(path)
    except BrokenVideoError as error:
        print_log(str(error), 'current', logging.WARNING)
        return None


def normalise_answer(text: str) -> list[str]:
    """Words in lower case, without punctuation and articles.

    >>> normalise_answer('The man, on a Horse.')
    ['man', 'on', 'horse']
    """
    words = text.lower().translate(_PUNCTUATION).split()
    return [word for word in words if word not in ('a', 'an', 'the')]


def contains(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the words ``wanted`` are in ``said`` in their order, with others between them.

    >>> contains(['red', 'sports', 'car'], ['red', 'car']), contains(['car', 'red'], ['red', 'car'])
    (True, False)
    """
    rest = iter(said)
    return bool(wanted) and all(word in rest for word in wanted)


def compare_answers(items: Sequence[Item], entries: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Compare words: ``exact`` and ``contains`` in per cent, ``missing`` as a count.

    An entry is missing if its video could not be read. All three are ours: published numbers come
    from a judge model, and cannot be compared with these.
    """
    pairs = [
        (normalise_answer(str(entry[key])), normalise_answer(item.answer))
        for item, entry in zip(items, entries)
        for key in item.keys
    ]
    share = 100 / max(1, len(pairs))
    return {
        'exact': share * sum(said == wanted for said, wanted in pairs),
        'contains': share * sum(contains(said, wanted) for said, wanted in pairs),
        'missing': sum(not any(entry[key] for key in i.keys) for i, entry in zip(items, entries)),
    }
