"""Label maps of AVA: the ids and names of actions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmstan.datasets.annotation_files import open_annotations
from mmstan.text_files import TextFile
from mmstan.wording import show

_BLOCK = re.compile(r'\b(?:item|label)\s*\{(.*?)\}\s*(?=item|label|#|$)', re.DOTALL)
_ID = re.compile(r'^\s*(?:label_)?id\s*:\s*(\S+)', re.MULTILINE)
_NAME = re.compile(r'^\s*name\s*:\s*(["\'])(.*)\1\s*$', re.MULTILINE)
_LINE = re.compile(r'\s*(\S+?)\s*:\s*(.*\S)\s*')


def read_label_map(argument: str, path: str) -> dict[int, str]:
    """Read the actions of a label map: names by id, in the file's order.

    The file has blocks, ``item { name: "stand" id: 12 }`` or ``label { name: ... label_id: 12 }``
    with a field a line, or lines ``12: stand``.

    Args:
        argument: The argument that names the file, for messages.
        path: The label map, ``.pbtxt`` or text.

    Raises:
        ValueError: The file has no action, an id is no whole number from 1 on or comes twice.
        FileNotFoundError: The file does not exist.
    """
    file = open_annotations(argument, path)
    text = re.sub(r'\r\n?', '\n', file.read_text())
    blocks = re.search(r'\b(item|label)\s*\{', text)
    found = _find_blocks(file, text) if blocks else _find_lines(file)
    names: dict[int, str] = {}
    for line, number, name in found:
        if not re.fullmatch(r'\d{1,6}', number, re.ASCII) or int(number) < 1:
            raise file.error(
                f'the id {show(number)} is not a whole number from 1 on; number the actions 1, 2, '
                '... (0 is kept for no action)',
                line=line,
            )
        if int(number) in names:
            raise file.error(f'the id {number} comes twice; leave one', line=line)
        names[int(number)] = name
    if not names:
        raise file.error("it has no action; write a line '1: name' for each, or AVA's pbtxt")
    return names


def read_action_names(dataset: Mapping[str, Any]) -> dict[int, str]:
    """Read the names of a data set's actions: column of the scores -> name.

    Args:
        dataset: The config of an ``mmstan.AVADataset``.

    Raises:
        ValueError: The config names no label map.
        FileNotFoundError: It does not exist.
    """
    path = dataset.get('label_file')
    if not path:
        raise ValueError(
            'the data set has no label_file, which names the actions; set it (--cfg-options '
            'SPLIT_dataloader.dataset.label_file=FILE, where SPLIT is train, val or test)'
        )
    root = dataset.get('data_root') or ''
    names = read_label_map('label_file', str(Path(root, path)))
    custom = dataset.get('custom_classes')
    if custom is None:
        return names
    return {column: names[action] for column, action in enumerate(custom, start=1)}


def _find_blocks(file: TextFile, text: str) -> list[tuple[int, str, str]]:
    """Find line, id and name of each block."""
    found = []
    for block in _BLOCK.finditer(text):
        line = 1 + text.count('\n', 0, block.start())
        number, name = _ID.search(block[1]), _NAME.search(block[1])
        if number is None:
            raise file.error("the block has no 'id:' or 'label_id:'; add one", line=line)
        found.append((line, number[1], name[2] if name else f'action {number[1]}'))
    return found


def _find_lines(file: TextFile) -> list[tuple[int, str, str]]:
    """Find line, id and name of each line ``id: name``."""
    found = []
    for line, text in file.read_lines():
        match = _LINE.fullmatch(text)
        if match is None:
            raise file.error(f"{show(text)} must be 'id: name', as '12: stand'", line=line)
        found.append((line, match[1], match[2]))
    return found
