"""Where results of a config go, and where a checkpoint may come from."""

from __future__ import annotations

import os
from pathlib import Path


def default_work_dir(config: str | Path) -> str:
    """``work_dirs/`` and the config's path below ``configs``, since stems repeat.

    >>> default_work_dir('configs/stan/k400_b16.py')
    'work_dirs/stan/k400_b16'
    """
    parts = Path(config).with_suffix('').parts
    below = parts[len(parts) - parts[::-1].index('configs') :] if 'configs' in parts else parts[-1:]
    return str(Path('work_dirs', *below))


def is_checkpoint(path: str) -> bool:
    """Whether ``path`` is there, or an address (``https://``, ``s3://``) to be fetched later."""
    return '://' in path or os.path.exists(path)


def find_shipped(name: str) -> Path:
    """The folder ``configs`` or ``tools``: of the checkout, or as it is installed with the package.

    Raises:
        FileNotFoundError: There is neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / name, package / '.mim' / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f'{name} is neither beside {package} nor in it; install mmstan again')
