"""Config, pipelines and class names of a model in use, as Python and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal, NamedTuple

from mmengine.config import Config, ConfigDict

from mmstan.config.types import name_types
from mmstan.config.walk import walk
from mmstan.models.heads import read_class_names
from mmstan.models.towers.architecture import name_without_weights

Task = Literal['recognition', 'retrieval']
Pipeline = list[dict[str, Any]]
Views = Literal[1, 'test']

FORMAT = 2  # 1 did not tell OpenAI's activation
_CROPS = ('ThreeCrop', 'TenCrop')


class ModelDescription(NamedTuple):
    """Everything that a model is built from and used with, apart from its weights."""

    model: ConfigDict
    """Config of the model."""
    pipelines: dict[str, Pipeline]
    """``val``: one view of a video; ``test``: the views of a test."""
    class_names: list[str] | None
    """Names of the classes, None for retrieval and where they are not known."""
    task: Task
    name: str
    """Where the config comes from, such as ``stan/k400_b16``."""


def describe_config(
    cfg: Config, *, class_names: str | Sequence[str] | None = None, name: str | None = None
) -> ModelDescription:
    """Take the parts out of a config that a model needs in use.

    Args:
        cfg: A recognition or retrieval config. It is not changed.
        class_names: Names of the classes, or a file of them, in the place of the config's.
        name: Name of the config for messages; its file name by default.

    Raises:
        ValueError: The config has no model or no test pipeline, or is a detector's; or the number
            of names is not that of the classes.
        FileNotFoundError: The file of the class names does not exist.
    """
    cfg = deepcopy(cfg)
    name_types(cfg)
    name = name or str(cfg.filename)
    if 'model' not in cfg or not cfg.get('test_dataloader'):
        raise ValueError(f'{name}: a config of a model has model and test_dataloader')
    model = cfg.model
    if 'roi_head' in model:
        raise ValueError(
            f'{name}: a detector of actions needs the boxes of persons: use tools/detect.py'
        )
    (model.get('data_preprocessor') or {}).pop('blending', None)  # of training
    names = _set_class_names(model, cfg.get('class_names'), class_names, name)
    task: Task = 'retrieval' if 'text_tower' in model else 'recognition'
    return ModelDescription(model, _find_pipelines(cfg), names, task, name)


def _find_pipelines(cfg: Config) -> dict[str, Pipeline]:
    """The test pipeline of a config under ``'test'``; under ``'val'``, with one view of a video."""
    pipelines = {'test': find_pipeline(cfg, 'test'), 'val': find_pipeline(cfg, 'val')}
    for step in pipelines['val']:
        if step['type'].rpartition('.')[2] in _CROPS:
            step['type'] = 'CenterCrop'
    return pipelines


def find_pipeline(cfg: Config, split: Literal['test', 'val']) -> Pipeline:
    """The pipeline of a split's data set, which may be in a wrapper; of the test set by default."""
    dataset = (cfg.get(f'{split}_dataloader') or cfg.test_dataloader).dataset
    while 'dataset' in dataset:  # a wrapper, such as RepeatDataset
        dataset = dataset.dataset
    return [dict(step) for step in ConfigDict(dataset).to_dict()['pipeline']]


def _set_class_names(
    model: ConfigDict,
    of_config: str | Sequence[str] | None,
    given: str | Sequence[str] | None,
    name: str,
) -> list[str] | None:
    """Write the names themselves into the heads; returns them."""
    heads = [node for node in walk(model) if 'class_names' in node]
    if len(heads) > 1:  # verbs and nouns
        if given is not None:
            raise ValueError(f'class_names: {name} has {len(heads)} lists of names; set them in it')
        lists = [_read_names(head.class_names, name) for head in heads]
        for head, names in zip(heads, lists):
            head.class_names = names
        verbs, nouns = lists[0], lists[-1]
        return [f'{verb} {noun}' for verb in verbs for noun in nouns]
    source = heads[0].class_names if heads and given is None else given
    if source is None:
        source = of_config
        if 'cls_head' not in model or not _is_there(source):
            return None
    names = _read_names(source or (), name)
    for head in heads:
        head.class_names = names
    count = (model.get('cls_head') or {}).get('num_classes')
    if count not in (None, len(names)):
        if given is None and not heads:
            return None  # a list of the config that its head does not read
        raise ValueError(f'class_names has {len(names)} names, and {name} has {count} classes')
    return names


def _is_there(source: str | Sequence[str] | None) -> bool:
    return source is not None and (not isinstance(source, str) or os.path.exists(source))


def _read_names(source: str | Sequence[str], name: str) -> list[str]:
    try:
        return read_class_names(source)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; to use {name}, give its names: class_names=['...', ...], or on the command "
            'line --class-names FILE'
        ) from error


def to_json(description: ModelDescription, **more: Any) -> str:
    """The description as JSON; ``more`` are further keys.

    No path to weights goes into it.

    Raises:
        ValueError: The config holds something that JSON does not have, such as a function.
    """
    model = deepcopy(description.model.to_dict())
    for node in walk(model):
        if node.get('pretrained') and node.get('model') and _is_of_open_clip(node):
            node['model'] = name_without_weights(node['model'], node['pretrained'])
        if 'pretrained' in node:
            node['pretrained'] = None
        node.pop('init_cfg', None)
    content = dict(
        format=FORMAT,
        model=model,
        pipeline=description.pipelines,
        class_names=description.class_names,
        task=description.task,
        **more,
    )
    for where, value in _list_values(content):
        if not isinstance(value, (str, int, float, bool, type(None))):
            raise ValueError(
                f'{description.name}: {where} is a {type(value).__name__}, which cannot be saved; '
                'write numbers, strings, lists and dicts, and types by their names'
            )
    return json.dumps(content, indent=1, ensure_ascii=False)


def _is_of_open_clip(node: Mapping[str, Any]) -> bool:
    """Whether a config is of a tower, or names one to start from (``init_from``)."""
    return str(node.get('type', 'TextTower')).rpartition('.')[2] in ('ImageTower', 'TextTower')


def _list_values(node: Any, where: str = '') -> Iterator[tuple[str, Any]]:
    items: Any = ()
    if isinstance(node, Mapping):
        items = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    else:
        yield where, node
    for key, value in items:
        yield from _list_values(value, f'{where}.{key}' if where else str(key))


def restore_tuples(node: Any) -> Any:
    """Lists of numbers become tuples, which JSON does not have and transforms ask for."""
    if isinstance(node, dict):
        return {key: restore_tuples(value) for key, value in node.items()}
    if isinstance(node, list):
        if node and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in node):
            return tuple(node)
        return [restore_tuples(value) for value in node]
    return node
