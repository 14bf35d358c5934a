"""Lists of videos that the project's own data sets read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

from mmstan.datasets.annotation_files import normalise
from mmstan.datasets.video_lists import parse_line
from mmstan.text_files import has_control_characters


def find_root(paths: Sequence[str], folders: Sequence[str]) -> str:
    """The first folder that all paths lie below; '' if there is none, for absolute paths."""
    for folder in folders:
        if all(path.startswith(os.path.join(folder, '')) for path in paths):
            return folder
    return ''


def is_listable(path: str) -> bool:
    """Whether a list can name the path: text without line ends, and no blank at its ends."""
    lines = len(path.splitlines()) > 1
    return not (lines or has_control_characters(path) or path != path.strip())


def write_labels(labels: Mapping[str, int]) -> str:
    """``path label`` a line; a tab stands between them if any path has a blank.

    Args:
        labels: Label by path.

    Raises:
        ValueError: A path cannot be written so that it is read again.
    """
    delimiter = '\t' if has_blanks(labels) else ' '
    return ''.join(_write_line(path, label, delimiter) + '\n' for path, label in labels.items())


def has_blanks(paths: Mapping[str, int] | Sequence[str]) -> bool:
    """Whether a path has a blank, so that a tab stands before the label."""
    return any(letter.isspace() for path in paths for letter in path)


def _write_line(path: str, label: int, delimiter: str) -> str:
    for name in (path, f'"{path}"', f"'{path}'"):  # quotes where the name looks like several fields
        line = f'{name}{delimiter}{label}'
        try:
            if parse_line(line) == (path, (label,)):
                return line
        except ValueError:
            continue
    raise ValueError(f'{path!r} cannot be written into a list of videos; rename the file')


def write_captions(captions: Mapping[str, Sequence[str]]) -> str:
    """A JSON object of ``{path: [captions]}``, for ``mmstan.CaptionsJson``."""
    named = {normalise(path): list(texts) for path, texts in captions.items()}
    return json.dumps(named, ensure_ascii=False, indent=0) + '\n'


def write_names(paths: Sequence[str]) -> str:
    """A path a line, the ``video_list`` of a split."""
    return ''.join(normalise(path) + '\n' for path in paths)
