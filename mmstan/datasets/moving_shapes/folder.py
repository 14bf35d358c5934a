"""The folder of a rendering, with a manifest that is true at any moment, also after a kill."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]
"""The parameters of a rendering; ``manifest.json`` has them and whether it is complete."""

# All that a folder without a manifest can hold of ours.
_OURS = re.compile(r'\.lock|manifest\.part|train|test')


def is_finished(folder: Path, manifest: Manifest) -> bool:
    """Whether ``folder`` is complete and was made with these parameters."""
    return _read(folder) == {**manifest, 'complete': True}


def prepare_folder(folder: Path, manifest: Manifest) -> None:
    """Prepare ``folder`` for missing clips; remove clips that other parameters made.

    The manifest is written before any other file and removed after all others. So it never claims
    a clip that is not there, and no file of ours is there without it.

    Raises:
        ValueError: The folder holds files, but no manifest.
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
    """Remove the unfinished files of killed processes, and mark the folder as complete."""
    for unfinished in folder.rglob('*.part'):
        unfinished.unlink(missing_ok=True)
    write_json(folder / 'manifest.json', {**manifest, 'complete': True})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file that is whole at any moment."""
    # Renaming is one step of the file system; writing is not.
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
