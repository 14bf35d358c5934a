"""The texts of all files that are written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from mmstan.prepare.check import Facts
from mmstan.prepare.class_names import ClassNames
from mmstan.prepare.config import Data, set_rates, write_config
from mmstan.prepare.encode import Encoding
from mmstan.prepare.entries import SPLITS, Entry, LeftOut, Source, Split
from mmstan.prepare.lists import find_root, has_blanks, write_captions, write_labels, write_names
from mmstan.prepare.report import (
    describe_copies,
    find_copies,
    find_shared_videos,
    list_left_out,
    write_report,
)

NAMES = (
    'train.txt', 'val.txt', 'test.txt', 'label_map.txt', 'captions.json', 'report.md', 'config.py',
)  # fmt: skip
"""All files that may be written."""


class Prepared(NamedTuple):
    """Everything that is known when files are written.

    Attributes:
        source: Where the videos come from.
        splits: Every video that comes into a list, in the source's order.
        files: The file of each: its own, or the encoded one.
        facts: By path.
        classes: None for captions.
        left_out: Videos that come into no list.
        notes: How the splits were found.
        encoding: How videos were encoded; None where only parts were, if any.
        encoded: Folder of encoded videos.
    """

    source: Source
    splits: dict[Entry, Split]
    files: dict[Entry, str]
    facts: dict[str, Facts]
    classes: ClassNames | None
    left_out: Sequence[LeftOut]
    notes: Sequence[str]
    encoding: Encoding | None
    encoded: str


def make_texts(prepared: Prepared, cfg: Config, config: str, out: Path) -> dict[str, str]:
    """The text of each file, by name, the config last.

    Args:
        prepared: See the class.
        cfg: The config to copy; it is changed.
        config: Its name.
        out: The folder that the files go to.
    """
    files = {entry: prepared.files[entry] for entry in prepared.splits}
    folders = [prepared.encoded, prepared.source.root]
    root = find_root(list(files.values()), folders)
    paths = {entry: os.path.relpath(path, root) if root else path for entry, path in files.items()}
    texts = _write_lists(prepared, paths)
    texts['report.md'] = _write_report(prepared)
    sizes = Counter(prepared.splits.values())
    trained = [entry for entry, split in prepared.splits.items() if split == 'train']
    rules = set_rates(cfg, sum(len(entry.captions) or 1 for entry in trained))
    shown = os.path.basename(root) if root == prepared.encoded else root
    data = Data(
        dict(sizes),
        len(prepared.classes.names) if prepared.classes else 0,
        shown,
        bool(prepared.classes) and has_blanks(list(paths.values())),
    )
    head = [
        f'{config} for {prepared.source.path}, written by mmstan prepare: '
        + ', '.join(f'{sizes[split]} {split}' for split in SPLITS if sizes[split])
        + '.',
        *rules,
    ]
    if 'test' not in sizes:
        head.append('no test videos: the test runs on the videos of validation')
    work_dir = f'work_dirs/{os.path.basename(os.path.abspath(out))}'
    texts['config.py'] = write_config(cfg, data, head, work_dir)
    return texts


def _write_lists(prepared: Prepared, paths: dict[Entry, str]) -> dict[str, str]:
    texts = {}
    captions: dict[str, Sequence[str]] = {}
    for split in SPLITS:
        entries = [entry for entry in paths if prepared.splits[entry] == split]
        if not entries:
            continue
        if prepared.classes:
            numbers = prepared.classes.numbers
            labels = {paths[entry]: numbers[entry.label or ''] for entry in entries}
            texts[f'{split}.txt'] = write_labels(labels)
            continue
        texts[f'{split}.txt'] = write_names([paths[entry] for entry in entries])
        captions.update((paths[entry], entry.captions) for entry in entries)
    if prepared.classes:
        texts['label_map.txt'] = ''.join(name + '\n' for name in prepared.classes.names)
    else:
        texts['captions.json'] = write_captions(captions)
    return texts


def _write_report(prepared: Prepared) -> str:
    copies = find_copies(list(prepared.splits), prepared.facts)
    made = [entry for entry in prepared.splits if prepared.files[entry] != entry.path]
    parts = sum(entry.is_part for entry in made)
    encoding = prepared.encoding or Encoding(short_side=None)
    encoded = [f'{len(made)} of {len(prepared.splits)} ({encoding}), {parts} of them parts']
    sections = {
        'Left out': list_left_out(prepared.left_out),
        'Files with the same bytes': describe_copies(copies, prepared.splits),
        'In two splits': find_shared_videos(prepared.splits),
        'Splits': prepared.notes,
        'Encoded again': encoded if made else [],
        'Notes': prepared.source.notes,
    }
    return write_report(
        prepared.source, prepared.splits, prepared.facts, prepared.classes, sections
    )
