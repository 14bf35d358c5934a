"""Question files of the video-chat benchmarks -> questions with their videos.

The formats are those which Video-ChatGPT's judge scripts read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmstan.text_files import TextFile

VIDEO_FILES = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.gif')


@dataclass(frozen=True)
class Item:
    """An entry of a question file.

    Attributes:
        video: Name of its video, with or without a suffix.
        questions: Its question, or two.
        answer: The right answer.
        fields: The entry's part of the output, before the predictions.
    """

    video: str
    questions: tuple[str, ...]
    answer: str
    fields: dict[str, Any]

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the predictions in the output."""
        if len(self.questions) == 1:
            return ('pred',)
        return tuple(f'pred{i}' for i in range(1, len(self.questions) + 1))


def read_items(data: str, questions: str, answers: str | None) -> list[Item]:
    """Read a question file.

    Args:
        data: One of :data:`DATA`.
        questions: Its JSON file.
        answers: ActivityNet-QA's second file, with as many entries in the same order.

    Raises:
        ValueError: A file does not have the format; names the entry.
        OSError: A file cannot be read.
    """
    file = TextFile('questions', questions)
    entries = _read_list(file)
    if (data == 'activitynet_qa') != bool(answers):
        raise ValueError(
            f"data={data}: ActivityNet-QA's questions and answers are two files, and only its: "
            'give --questions test_q.json --answers test_a.json'
        )
    if answers:
        return _read_activitynet(file, entries, TextFile('answers', answers))
    read = DATA[data]
    return [read(_Entry(file, number, entry)) for number, entry in enumerate(entries)]


def find_video(folder: Path, name: str) -> Path | None:
    """The file of a video in a folder, also as ``v_NAME`` and with any usual suffix; or None."""
    for stem in (name, f'v_{name}'):
        for suffix in ('', *VIDEO_FILES):
            path = folder / f'{stem}{suffix}'
            if path.is_file():
                return path
    return None


class _Entry:
    """An entry of a file, whose errors name it."""

    def __init__(self, file: TextFile, number: int, entry: Any) -> None:
        self.file, self.number, self.entry = file, number, entry
        if not isinstance(entry, Mapping):
            raise file.error(f'entry {number + 1} is {entry!r}, expected an object')

    def get(self, *names: str) -> Any:
        """The value of the first of ``names`` that is there."""
        for name in names:
            if name in self.entry:
                return self.entry[name]
        raise self.file.error(
            f'entry {self.number + 1} has no {" or ".join(names)}, but {", ".join(self.entry)}'
        )


def _read_list(file: TextFile) -> Sequence[Any]:
    entries = file.read_json()
    if not isinstance(entries, list):
        raise file.error(f'a {type(entries).__name__}, expected a list of questions')
    return entries


def _read_qa(entry: _Entry) -> Item:
    question, answer = str(entry.get('question')), str(entry.get('answer'))
    fields = dict(id=entry.get('question_id', 'id'), question=question, answer=answer)
    return Item(str(entry.get('video_name', 'video')), (question,), answer, fields)


def _read_generic(entry: _Entry) -> Item:
    question, answer = str(entry.get('Q')), str(entry.get('A'))
    fields = dict(entry.entry)
    return Item(str(entry.get('video_name')), (question,), answer, fields)


def _read_consistency(entry: _Entry) -> Item:
    questions = (str(entry.get('Q1')), str(entry.get('Q2')))
    return Item(str(entry.get('video_name')), questions, str(entry.get('A')), dict(entry.entry))


def _read_activitynet(
    file: TextFile, questions: Sequence[Any], answers_file: TextFile
) -> list[Item]:
    answers = _read_list(answers_file)
    if len(answers) != len(questions):
        raise answers_file.error(
            f'{len(answers)} answers, but {file.path} has {len(questions)} questions'
        )
    items = []
    for number, (asked, said) in enumerate(zip(questions, answers)):
        question, answer = _Entry(file, number, asked), _Entry(answers_file, number, said)
        key = question.get('question_id')
        if said.get('question_id', key) != key:
            raise answers_file.error(
                f'entry {number + 1} answers {said["question_id"]!r}, the question is {key!r}'
            )
        text, right = str(question.get('question')), str(answer.get('answer'))
        fields = dict(id=key, question=text, answer=right)
        items.append(Item(str(question.get('video_name')), (text,), right, fields))
    return items


DATA: dict[str, Callable[[_Entry], Item]] = {
    'msvd_qa': _read_qa,
    'msrvtt_qa': _read_qa,
    'activitynet_qa': _read_qa,
    'tgif_qa': _read_qa,
    'generic': _read_generic,
    'consistency': _read_consistency,
}
"""Name of a benchmark -> how its entries are read."""
