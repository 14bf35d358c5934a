"""A folder that is made in minutes: what is in it is known at any moment, also after a kill."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]
"""What a folder is made with; ``manifest.json`` adds whether it is complete."""

# All that a folder without a manifest can hold of ours.
_OURS = re.compile(r'\.lock|manifest\.part|train|test')


def is_finished(folder: Path, manifest: Manifest) -> bool:
    """Whether ``folder`` is complete and was made with this."""
    return _read(folder) == {**manifest, 'complete': True}


def prepare_folder(folder: Path, manifest: Manifest) -> None:
    """Make ``folder`` ready for what is missing; what was made with other parameters is removed.

    The manifest is written before anything else and removed after everything else, so that at no
    moment it says more than is true, and no file of ours is there without it.

    Raises:
        ValueError: There are files, and no manifest.
    """
    found = _read(folder)
    if found is None:
        _refuse_foreign(folder)
    elif found != {**manifest, 'complete': False}:
        write_json(folder / 'manifest.json', {**found, 'complete': False})
        for other in set(folder.iterdir()) - {folder / 'manifest.json', folder / '.lock'}:
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    write_json(folder / 'manifest.json', {**manifest, 'complete': False})
    for split in ('train', 'test'):
        (folder / split).mkdir(exist_ok=True)


def finish_folder(folder: Path, manifest: Manifest) -> None:
    """Remove what killed processes did not finish, and say that all is there."""
    for unfinished in folder.rglob('*.part'):
        unfinished.unlink(missing_ok=True)
    write_json(folder / 'manifest.json', {**manifest, 'complete': True})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that is whole at any moment."""
    unfinished = path.with_suffix('.part')
    unfinished.write_text(json.dumps(content, indent=1) + '\n')
    os.replace(unfinished, path)


def _read(folder: Path) -> Manifest | None:
    path = folder / 'manifest.json'
    try:
        found = json.loads(path.read_text('utf-8'))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f'{path} is no manifest of Moving Shapes ({error}): remove it') from error
    if not isinstance(found, dict):
        raise ValueError(f'{path} is no manifest of Moving Shapes but {found!r:.80}: remove it')
    return found


def _refuse_foreign(folder: Path) -> None:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))
    foreign = [name for name in names if not _OURS.fullmatch(name)]
    if foreign:
        raise ValueError(
            f'out: {folder} holds files that are not Moving Shapes ({foreign[0]}, and no '
            f'manifest.json): name another folder or empty it'
        )
