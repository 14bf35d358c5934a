"""The packages that only the chat needs, imported where they are used."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any


def import_transformers() -> Any:
    """The module ``transformers``.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module('transformers')
    except ImportError as error:
        raise ImportError('the chat needs transformers: pip install "mmstan[chat]"') from error


def require(package: str, reason: str, install: str = 'mmstan[chat]') -> None:
    """Raise ImportError, with the ``reason`` for which it is needed, unless a package is here."""
    try:
        found = find_spec(package) is not None
    except ValueError:  # a module that was put into sys.modules by hand
        found = False
    if not found:
        raise ImportError(f'{reason} needs {package}: pip install "{install}"')
