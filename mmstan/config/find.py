"""Configs by their path, or by the name of one that comes with mmstan."""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import yaml

from mmstan.config.paths import find_shipped, name_config


def find_config(source: str) -> tuple[str, str]:
    """The path of a config, and its name, ``stan/k400_b16``.

    Args:
        source: The path, or a name of a config that comes with mmstan.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is no config.
    """
    if os.path.isfile(source):
        if not source.endswith(('.py', '.json', '.yaml', '.yml')):
            raise ValueError(
                f'{source} is neither a config (.py) nor a saved model (a folder or *.safetensors '
                'of VideoModel.save); a checkpoint goes with its config, as weights=FILE'
            )
        return source, name_config(source)
    if os.path.isdir(source):
        raise FileNotFoundError(
            f'{source} is a folder without config.json: no model was saved there'
        )
    known = list_configs()
    name = source.removesuffix('.py').removeprefix('configs/')
    if name in known:
        return known[name], name_config(known[name])
    near = get_close_matches(name, known, n=3)
    hint = f'; did you mean {" or ".join(near)}?' if near else ''
    raise FileNotFoundError(
        f'{source!r} is neither a file, nor a saved model, nor the name of a config{hint}'
    )


@lru_cache
def list_configs() -> dict[str, str]:
    """Paths of the shipped configs by ``stan/k400_b16`` and by the metafiles' ``stan_k400_b16``."""
    folder = find_shipped('configs')
    known = {
        path.relative_to(folder).with_suffix('').as_posix(): str(path)
        for path in sorted(folder.rglob('*.py'))
        if '_base_' not in path.parts
    }
    known.update((model['Name'], str(folder.parent / model['Config'])) for model in list_models())
    return known


def list_models() -> Iterator[dict[str, Any]]:
    """The entries of the shipped configs in their metafiles."""
    for metafile in sorted(find_shipped('configs').rglob('metafile.yml')):
        yield from yaml.safe_load(metafile.read_text('utf-8'))['Models']
