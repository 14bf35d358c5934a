"""Paths of results, checkpoints, and the configs and tools that ship with the package."""

from __future__ import annotations

import os
from pathlib import Path


def default_work_dir(config: str | Path) -> str:
    """Join ``work_dirs/`` and the config's path below ``configs``; stems alone would repeat.

    >>> default_work_dir('configs/stan/k400_b16.py')
    'work_dirs/stan/k400_b16'
    """
    return str(Path('work_dirs', name_config(config)))


def name_config(path: str | Path) -> str:
    """The name of a config: its path below ``configs``, or its file's name.

    >>> name_config('configs/stan/k400_b16.py')
    'stan/k400_b16'
    """
    parts = Path(path).with_suffix('').parts
    if 'configs' not in parts:
        return parts[-1]
    return '/'.join(parts[len(parts) - parts[::-1].index('configs') :])


def is_checkpoint(path: str) -> bool:
    """Whether ``path`` exists, or is an address (``https://``, ``s3://``) to fetch later."""
    return '://' in path or os.path.exists(path)


def find_shipped(name: str) -> Path:
    """Find the folder ``configs`` or ``tools``, in the checkout or in the installed package.

    Raises:
        FileNotFoundError: It is in neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / name, package / '.mim' / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f'{name} is neither next to {package} nor in it; install mmstan again')
