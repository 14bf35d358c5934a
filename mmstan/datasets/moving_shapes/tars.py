"""Retrieval tasks of Moving Shapes in the layouts that post-pretraining reads."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

from mmstan.datasets.moving_shapes.encode import FPS

_SAMPLES = 8  # of a shard


def write_shards(folder: Path, split: str) -> Path:
    """Put the videos of a split into small tar files, with one caption each, unless they are there.

    Args:
        folder: The task's folder, which has ``SPLIT.json``.
        split: ``'train'`` or ``'test'``.

    Returns:
        The folder of the shards.
    """
    captions = list(_read_captions(folder, split).items())
    out = folder / f'{split}_shards'
    out.mkdir(exist_ok=True)
    for number, first in enumerate(range(0, len(captions), _SAMPLES)):
        path = out / f'{number:05}.tar'
        if path.exists():
            continue
        # Processes of one job may all be here: each writes its own file, then one name.
        part = path.with_suffix(f'.{os.getpid()}.part')
        with tarfile.open(part, 'w') as tar:
            for name, texts in captions[first : first + _SAMPLES]:
                text = part.with_suffix('.txt')
                text.write_text(texts[0], 'utf-8')
                tar.add(folder / name, f'{Path(name).stem}.mp4')
                tar.add(text, f'{Path(name).stem}.txt')
                text.unlink()
        os.replace(part, path)
    return out


def write_narrations(folder: Path, split: str) -> Path:
    """Write the captions of a split as HowTo100M's json: three parts of a second in each video.

    Returns:
        The file; its ids are the names of the videos without extension.
    """
    starts = [0.0, 0.5, 1.0]
    narrations: dict[str, Any] = {
        Path(name).stem: dict(
            start=starts, end=[start + 8 / FPS for start in starts], text=[texts[0]] * len(starts)
        )
        for name, texts in _read_captions(folder, split).items()
    }
    return _write(folder / f'{split}_narrations.json', json.dumps(narrations))


def _read_captions(folder: Path, split: str) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = json.loads((folder / f'{split}.json').read_text('utf-8'))
    return captions


def _write(path: Path, text: str) -> Path:
    part = path.with_suffix(f'.{os.getpid()}.part')
    part.write_text(text, 'utf-8')
    os.replace(part, path)
    return path
