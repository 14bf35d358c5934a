"""Lists of videos with labels, ``path label`` a line."""

from __future__ import annotations

import re
from typing import NamedTuple

from mmstan.datasets.annotation_files import open_annotations
from mmstan.datasets.video_files import VIDEO_EXTENSIONS, split_extension
from mmstan.wording import show

_NUMBER = re.compile(r'[+-]?\d+(\.\d*)?', re.ASCII)
_LABEL = re.compile(r'-?\d{1,9}', re.ASCII)


class LabelledVideo(NamedTuple):
    """A line of a list."""

    line: int
    path: str
    labels: tuple[int, ...]


def read_video_list(
    argument: str, path: str, *, delimiter: str = ' ', multi_class: bool = False
) -> list[LabelledVideo]:
    """Read the videos of a list and their labels.

    Args:
        argument: Which argument names the list.
        path: The list, ``path label`` a line. The last field is the label; all before it is the
            path, which may have blanks and may be in quotation marks.
        delimiter: Between path and label; ' ' also means tabs and several blanks.
        multi_class: Whether a line may have any number of labels.

    Raises:
        ValueError: A line has another form, or the list is empty.
        FileNotFoundError: The list does not exist.
    """
    file = open_annotations(argument, path)
    videos = []
    for line, text in file.read_lines():
        try:
            videos.append(
                LabelledVideo(line, *parse_line(text, delimiter=delimiter, multi_class=multi_class))
            )
        except ValueError as error:
            header = '' if videos or re.search(r'\d', text) else ' (is it a header? remove it)'
            raise file.error(f'{error}{header}', line=line) from None
    if not videos:
        raise file.error("it has no line; give a list of 'path label'")
    return videos


def parse_line(
    text: str, *, delimiter: str = ' ', multi_class: bool = False
) -> tuple[str, tuple[int, ...]]:
    """Split a line into path and labels; arguments as for :func:`read_video_list`.

    Raises:
        ValueError: The line has another form; the message says which part is wrong.

    >>> parse_line('my clips/a b.mp4 3')
    ('my clips/a b.mp4', (3,))
    """
    path, _, label = text.rpartition(' ')
    if delimiter == ' ' and not multi_class and _is_plain(path, label):
        return path, (int(label),)
    # The labels are the longest end of the line that consists of numbers; the path is the rest.
    separator = r'[ \t]+' if not delimiter.strip() else rf'\s*{re.escape(delimiter)}\s*'
    text = text.strip()
    if multi_class:
        match = re.fullmatch(rf'(.+?)((?:{separator}{_LABEL.pattern})*)', text, re.ASCII)
    else:
        match = re.fullmatch(rf'(.+){separator}(\S+)', text)
    path, labels = (match[1].strip(), match[2]) if match else (text, '')
    numbers = [n for n in re.split(separator, labels) if n.strip()] if multi_class else [labels]
    wanted = _find_fault(path, numbers, delimiter, multi_class)
    if wanted:
        raise ValueError(f"{show(text)} must be 'path label': {wanted}")
    return _unquote(path), tuple(map(int, numbers))


def _is_plain(path: str, label: str) -> bool:
    """Whether a line needs no closer look; true for nearly all lines, which saves time."""
    whole = label.isascii() and label.isdecimal() and len(label) < 10
    return whole and path[-1:].isalnum() and not path[0].isspace() and not _DOUBTFUL(path)


_DOUBTFUL = re.compile(r'[\s"]').search


def _find_fault(path: str, labels: list[str], delimiter: str, multi_class: bool) -> str:
    """Name the fault of a line and its remedy; '' if the line has no fault."""
    commas = 'write a blank between path and label in place of the comma'
    if re.search(r'[,;]\s*\d*$', path) and delimiter == ' ':
        return commas
    if multi_class and not labels:
        return '' if split_extension(path)[1].lower() in VIDEO_EXTENSIONS else 'it has no labels'
    if not labels[0]:
        return 'it has no label'
    for label in labels:
        if not _LABEL.fullmatch(label):
            if re.search('[,;]', label) and delimiter == ' ':
                return commas
            whole = ' (write it without a point)' if re.fullmatch(r'\d+\.0*', label) else ''
            return f'the label {show(label)} is not a whole number{whole}'
        if label.startswith('-'):
            return f'the label {label} is less than 0, and classes are 0 to K - 1'
    last = re.split(r'\s', path)[-1]
    if last != path and _NUMBER.fullmatch(last) and not multi_class:
        return (
            'it has several numbers; give one label, or multi_class=True and num_classes, or put '
            'the path in quotation marks if its name ends so'
        )
    return ''


def _unquote(path: str) -> str:
    quoted = len(path) > 2 and path[0] == path[-1] and path[0] in '"\''
    return path[1:-1] if quoted else path
