"""A saved model: ``config.json``, ``model.safetensors`` and a model card, and no code."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import mmaction.registry
import torch
from mmengine.config import ConfigDict
from mmengine.registry import Registry, init_default_scope
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mmstan import __version__
from mmstan.apis.description import FORMAT, ModelDescription, restore_tuples, to_json
from mmstan.apis.model_card import write_card
from mmstan.compat.closed import read_file
from mmstan.compat.state_dicts import fit_state
from mmstan.config.walk import walk_named
from mmstan.models.heads import read_class_names
from mmstan.registry import MODELS, TRANSFORMS
from mmstan.wording import show, write_on_one_line

CONFIG, WEIGHTS, CARD = 'config.json', 'model.safetensors', 'README.md'
_FILES = (WEIGHTS, CONFIG, CARD)
METADATA = 'mmstan.config'
MAX_CONFIG_BYTES = 16 << 20
_KEYS = {'format', 'mmstan', 'model', 'pipeline', 'class_names', 'task', 'source', 'requires'}
_CLOSED_KEYS = ('_scope_', 'custom_imports', '_base_', '_delete_', 'init_cfg', 'pretrained')
_LOADS = ('hf-hub:', 'local-dir:', 'http:', 'https:')  # names that open_clip and MMEngine fetch
_OURS = ('mmstan', 'mmaction', 'mmpretrain', 'mmcv', 'mmengine', 'torch')


def is_package(source: str) -> bool:
    """Whether a path is a saved folder, or a safetensors file."""
    return os.path.isfile(os.path.join(source, CONFIG)) or (
        source.endswith('.safetensors') and os.path.isfile(source)
    )


def save_package(folder: str | os.PathLike[str], description: ModelDescription, model: Any) -> None:
    """Write a model into a folder, which :func:`mmstan.load` reads anywhere.

    Args:
        folder: A new or empty folder, or one of a saved model, which is replaced.
        description: Config, pipelines and class names.
        model: The model.

    Raises:
        ValueError: The config cannot be written as JSON.
        FileExistsError: The folder holds other files.
    """
    folder = Path(folder)
    here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if here - {*_FILES, *map(_part, _FILES), '.gitattributes', '.cache'}:
        raise FileExistsError(f'{folder} holds other files; save into a new folder')
    requires = list_requires(description)
    text = to_json(
        description,
        mmstan=__version__,
        source=dict(config=description.name),
        **(dict(requires=requires) if requires else {}),
    )
    # Tensors that share memory are written apart: safetensors knows no sharing.
    state = {name: x.detach().cpu().clone().contiguous() for name, x in model.state_dict().items()}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f'.{folder.name}_') as temporary:
        save_file(state, Path(temporary, WEIGHTS), metadata={'format': 'pt', METADATA: text})
        Path(temporary, CONFIG).write_text(text + '\n', 'utf-8')
        write_card(Path(temporary, CARD), description)
        folder.mkdir(exist_ok=True)
        for name in _FILES:  # whole files, never half of one
            try:
                shutil.copyfile(Path(temporary, name), folder / _part(name))
                os.replace(folder / _part(name), folder / name)
            finally:
                (folder / _part(name)).unlink(missing_ok=True)  # of a copy that failed


def _part(name: str) -> str:
    """The name of a file that is not whole yet."""
    return f'.{name}.part'


def load_package(
    source: str, *, allow: Sequence[str] = (), class_names: str | Sequence[str] | None = None
) -> tuple[ModelDescription, Any]:
    """Read a saved model.

    Nothing in it is run: types are names in mmstan's and MMAction2's registries, weights are plain
    tensors.

    Args:
        source: The folder, or its file ``*.safetensors``.
        allow: Modules of the user's own that may be imported, if the model requires them.
        class_names: Names of the classes, or a file of them, in the place of its own.

    Raises:
        ValueError: Its format is another one, it holds something else, or its weights do not fit.
    """
    file = source if source.endswith('.safetensors') else os.path.join(source, WEIGHTS)
    config = source if file == source else os.path.join(source, CONFIG)
    description = read_description(config, allow=allow)
    if class_names is not None:
        description = _rename_classes(description, read_class_names(class_names), config)
    init_default_scope('mmaction')
    state = read_file(file)
    _check_size(description, sum(value.numel() for value in state.values()), file)
    model: Any = MODELS.build(description.model)
    model.load_state_dict(fit_state(model, state, source=file))
    return description, model


def _check_size(description: ModelDescription, values: int, file: str) -> None:
    """Raise an error if the model is larger than its weights, before any memory is taken."""
    with torch.device('meta'):
        model: Any = MODELS.build(deepcopy(description.model))
    wanted = sum(value.numel() for value in model.state_dict().values())
    if wanted > values:
        raise ValueError(f'{file} has {values:,} values, and the model of its config {wanted:,}')


def read_description(config: str, *, allow: Sequence[str] = ()) -> ModelDescription:
    """Read ``config.json``, or the same out of the header of a safetensors file."""
    return parse_description(_read_text(config), config, allow=allow)


def parse_description(text: str, config: str, *, allow: Sequence[str] = ()) -> ModelDescription:
    """Check the JSON that :func:`~mmstan.apis.description.to_json` makes.

    Args:
        text: The JSON.
        config: Where it is from, for messages.
        allow: Modules of the user's own that may be imported.

    Raises:
        ValueError: Its format is another one, or it holds something that is not allowed.
    """
    content = _parse(text, config)
    for module in content.get('requires', ()):
        if module not in allow:
            raise ValueError(
                f'{config} requires the module {module!r}, which would run its code: if you trust '
                f"it, load(..., allow=['{module}'])"
            )
        importlib.import_module(module)
    check_types(content['model'], [MODELS, mmaction.registry.MODELS], f'{config}: model')
    pipelines = content['pipeline']
    check_types(pipelines, [TRANSFORMS, mmaction.registry.TRANSFORMS], f'{config}: pipeline')
    return ModelDescription(
        ConfigDict(restore_tuples(content['model'])),
        restore_tuples(pipelines),
        content['class_names'],
        content['task'],
        str((content.get('source') or {}).get('config', config)),
    )


def _read_text(config: str) -> str:
    try:
        if not config.endswith('.safetensors'):
            if os.path.getsize(config) > MAX_CONFIG_BYTES:
                raise ValueError(f'{config} is larger than {MAX_CONFIG_BYTES >> 20} MB: no config')
            return Path(config).read_text('utf-8')
        with safe_open(config, 'pt') as file:
            text = (file.metadata() or {}).get(METADATA)
    except (SafetensorError, UnicodeDecodeError) as error:
        reason = write_on_one_line(error)
        raise ValueError(f'{config} is damaged or something else: {reason}') from error
    if text is None:
        raise ValueError(
            f"{config} has weights, but no config: its header lacks '{METADATA}', which "
            'VideoModel.save writes; give the config, and this file as weights='
        )
    return text


def _parse(text: str, config: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{config} is no JSON: {write_on_one_line(error)}') from error
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        found = content.get('format') if isinstance(content, dict) else None
        raise ValueError(
            f'{config}: format={show(found)}, this mmstan reads format {FORMAT}; save the model '
            'again'
        )
    unknown = sorted(map(str, content.keys() - _KEYS))
    missing = sorted({'model', 'pipeline', 'class_names', 'task'} - content.keys())
    if unknown or missing:
        raise ValueError(f'{config}: unknown keys {unknown}, missing keys {missing}')
    names, pipelines = content['class_names'], content['pipeline']
    right = (
        isinstance(content['model'], dict)
        and (names is None or (isinstance(names, list) and all(isinstance(x, str) for x in names)))
        and content['task'] in ('recognition', 'retrieval')
        and isinstance(pipelines, dict)
        and pipelines.keys() == {'val', 'test'}
        and all(
            isinstance(x, list) and all(isinstance(y, dict) for y in x) for x in pipelines.values()
        )
        and isinstance(content.get('requires', []), list)
        and isinstance(content.get('source', {}), dict)
    )
    if not right:
        raise ValueError(
            f'{config}: model is a dict, pipeline has the lists val and test, class_names is null '
            "or a list of strings, task is 'recognition' or 'retrieval'"
        )
    return content


def check_types(node: Any, registries: Sequence[Registry], where: str) -> None:
    """Raise an error if a ``type`` in a config is no class of the registries by its plain name.

    MMEngine would import whatever a dotted name means.

    Raises:
        ValueError: A type is unknown, or a key is one that imports or loads something.
    """
    allowed = set(_list_names(registries))
    for place, values in walk_named(node, ''):
        for key in _CLOSED_KEYS:
            if values.get(key):
                raise ValueError(f'{where}.{place}: {key} is not allowed in a saved model')
        for key, value in values.items():
            if isinstance(value, str) and (value.startswith(_LOADS) or key == 'class_names'):
                raise ValueError(
                    f'{where}.{place}: {key}={show(value)} would read something that is not in the '
                    'saved model'
                )
        kind = values.get('type')
        if kind is not None and kind not in allowed:
            raise ValueError(
                f'{where}.{place}: type={show(kind)} is no part of mmstan or MMAction2, and is not '
                'imported'
            )


def _list_names(registries: Sequence[Registry]) -> Iterator[str]:
    for registry in registries:
        registry.import_from_location()
        for name in registry.module_dict:
            yield f'{registry.scope}.{name}'
            if registry.scope == 'mmaction':
                yield name


def list_requires(description: ModelDescription) -> list[str]:
    """The modules of the user's own that the config's types come from."""
    found = set()
    for part, registry in ((description.model, MODELS), (description.pipelines, TRANSFORMS)):
        for _, node in walk_named(part, ''):
            kind = node.get('type')
            cls = registry.get(kind) if isinstance(kind, str) else None
            if cls is not None and cls.__module__.partition('.')[0] not in _OURS:
                found.add(cls.__module__)
    return sorted(found)


def _rename_classes(
    description: ModelDescription, names: list[str], config: str
) -> ModelDescription:
    heads = [node for _, node in walk_named(description.model, '') if 'class_names' in node]
    known = description.class_names
    if len(heads) > 1 or (not heads and known is not None and len(known) != len(names)):
        raise ValueError(f'{config}: class_names has {len(names)} names, its head another number')
    for head in heads:
        head['class_names'] = names  # type: ignore[index]
    return description._replace(class_names=names)
