"""Walks over the nested dicts and lists of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import ConfigDict


def walk_named(node: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Visit every dict in a config; gives the keys that lead to it, and the dict."""
    if isinstance(node, Mapping):
        yield where, node
    elif not isinstance(node, (list, tuple)):
        return
    items = node.items() if isinstance(node, Mapping) else enumerate(node)
    for key, value in items:
        yield from walk_named(value, f'{where}.{key}' if where else str(key))


def walk(node: Any) -> Iterator[ConfigDict]:
    """Visit every dict in a part of a config."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list, tuple)):
        for child in node.values() if isinstance(node, dict) else node:
            yield from walk(child)


def find(node: Any, key: str) -> Any:
    """Find the first value of ``key`` in nested dicts and lists, or None."""
    if isinstance(node, dict) and key in node:
        return node[key]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return next((v for v in (find(child, key) for child in children) if v is not None), None)
