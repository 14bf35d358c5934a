"""Readers and checks for the annotation files of data sets."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from typing import Any, TypeVar

from mmengine.fileio import exists
from mmengine.utils import is_abs

from mmstan.text_files import Repeated, Row, TextFile, has_control_characters
from mmstan.wording import show

_T = TypeVar('_T')


def open_annotations(argument: str, path: str) -> TextFile:
    """Open the file that ``argument`` of a data set names.

    Raises:
        ValueError: ``argument`` is not set.
        FileNotFoundError: The file does not exist.
    """
    if not path:
        raise ValueError(f"{argument}='' must name a file; the class says which")
    if not exists(path):
        raise FileNotFoundError(
            f'{argument}={path!r} does not exist; prepare the data as docs/data.md '
            f'says, or set {argument} (relative to data_root) to where it is'
        )
    return TextFile(argument, path)


def read_names(argument: str, path: str) -> list[str]:
    """Read the videos of a split: a .csv with the column video_id, a .json list, or a line a video.

    Raises:
        ValueError: The file has another form; other errors as for :func:`open_annotations`.
    """
    file = open_annotations(argument, path)
    if path.endswith('.csv'):
        return [read_video_id(file, row) for row in file.read_table('video_id')]
    if path.endswith('.json'):
        names = file.read_json()
        if not isinstance(names, list):
            raise file.error(
                f'it must hold a list of videos, not {_name_type(names)}: a file of captions is '
                'given as ann_file'
            )
        return [check_id(file, name) for name in names]
    return [check_id(file, text, line) for line, text in file.read_lines()]


def read_video_id(file: TextFile, row: Row) -> str:
    """Read the ``video_id`` of a row; ValueError where it is empty."""
    return check_id(file, row.fields['video_id'], row.line)


def check_id(file: TextFile, name: Any, line: int | None = None) -> str:
    """Turn ``name`` into the id of a video, in Unicode's normal form C.

    The normal form makes the names of two files equal, whichever system wrote them.

    Args:
        file: The file that has the name.
        name: A string, or the number of a video.
        line: The line in the file.

    Raises:
        ValueError: The name is another thing, is empty or has control characters.
    """
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name.strip() or has_control_characters(name):
        line = line or (file.line_of(name) if isinstance(name, str) and name.strip() else None)
        raise file.error(f'{show(name)} must be the name of a video', line=line)
    return normalise(name.strip())


def normalise(name: str) -> str:
    """Bring a name into Unicode's normal form C, in which an accent is a part of its letter."""
    return name if name.isascii() else unicodedata.normalize('NFC', name)


def check_captions(file: TextFile, video: str, captions: Any) -> list[str]:
    """Check and strip the captions of a video.

    Args:
        file: The file that has the captions.
        video: The id of the video.
        captions: A text, a list of texts, or several of either under a repeated key. The captions
            of a repeated key are joined; equal ones count once.

    Raises:
        ValueError: The captions are anything else.
    """
    if isinstance(captions, Repeated):
        several = [check_captions(file, video, part) for part in captions]
        return list(dict.fromkeys(text for texts in several for text in texts))
    texts = [captions] if isinstance(captions, str) else captions
    if not isinstance(texts, (list, tuple)):
        raise file.error(
            f'the captions of {show(video)} must be a text or a list of texts, not '
            f'{show(captions)}',
            line=file.line_of(video),
        )
    for text in texts:
        if not isinstance(text, str) or has_control_characters(text):
            raise file.error(
                f'a caption of {show(video)} must be a text, not {show(text)}',
                line=file.line_of(video),
            )
    return [text.strip() for text in texts]


def merge_captions(file: TextFile, given: Mapping[str, Any]) -> tuple[dict[str, list[str]], int]:
    """Group captions by video id; returns them without empty captions, and the count of these.

    Names that differ only in Unicode's normal form are one video, with the captions of both.

    Args:
        file: The file that has the captions.
        given: Captions by video, for :func:`check_captions`.

    Raises:
        ValueError: A name is no video's name, or a caption is no text.
    """
    captions: dict[str, list[str]] = {}
    empty = 0
    for name, texts in given.items():
        texts = check_captions(file, name, texts)
        empty += texts.count('')
        texts = [text for text in texts if text]
        video = check_id(file, name)
        if video in captions:
            texts = captions[video] + [text for text in texts if text not in captions[video]]
        captions[video] = texts
    return captions, empty


def check_kind(file: TextFile, value: Any, kind: type[_T], wanted: str) -> _T:
    """Return ``value`` if it is a ``kind``; else raise a ValueError that names ``wanted``."""
    if not isinstance(value, kind):
        raise file.error(f'it must hold {wanted}, not {_name_type(value)}: {show(value)}')
    return value


def get_list(file: TextFile, entry: Any, key: str, place: str) -> list[Any]:
    """Return ``entry[key]`` if it is a list; else raise a ValueError with the entry's ``place``."""
    found = entry.get(key) if isinstance(entry, Mapping) else None
    if not isinstance(found, list):
        raise file.error(f'{place} must be an object with a list {key!r}, and is {show(entry)}')
    return found


def group_captions(file: TextFile, entries: Any, name: str, text: str) -> dict[str, list[str]]:
    """Group a JSON list of ``{name: video, text: caption}`` by video.

    Args:
        file: The file that has the list.
        entries: The list.
        name: The key of the video in each object.
        text: The key of the caption.

    Raises:
        ValueError: An entry is no such object.
    """
    captions: dict[str, list[str]] = {}
    for number, entry in enumerate(check_kind(file, entries, list, 'a list of captions'), start=1):
        if not isinstance(entry, Mapping) or not isinstance(entry.get(text), str):
            raise file.error(
                f'caption {number} must be an object with {name!r} and a text {text!r}, and is '
                f'{show(entry)}'
            )
        captions.setdefault(check_id(file, entry.get(name)), []).append(entry[text])
    return captions


def check_inside(file: TextFile, name: str, folder: str, line: int | None = None) -> str:
    """Return ``name`` if it stays inside ``folder``; with the folder '' every name passes.

    Raises:
        ValueError: The name is an absolute path, or goes above the folder.
    """
    # Normalised, a path keeps '..' only at its beginning: 'a/../../b' becomes '../b'.
    above = os.pardir in name and os.path.normpath(name).split(os.sep, 1)[0] == os.pardir
    if folder and (above or is_abs(name)):
        raise file.error(
            f'the video {show(name)} is not below data_prefix={folder!r}; name it relative to '
            "that folder, or give paths as they are with data_prefix=dict(video='')",
            line=line or file.line_of(name),
        )
    return name


def _name_type(value: Any) -> str:
    return f'a {type(value).__name__}'
