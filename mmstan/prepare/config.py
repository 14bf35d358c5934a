"""A copy of a shipped config with data, classes and rates of one's own."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict

from mmstan.config.find import find_config
from mmstan.config.places import RUNNER_KEYS
from mmstan.config.sources import list_custom_imports
from mmstan.config.types import name_types
from mmstan.config.variables import is_read_by_own_code
from mmstan.config.walk import find, walk
from mmstan.models.heads.class_names import refuse_equal_texts
from mmstan.prepare.entries import SPLITS, Split

DEFAULTS = {False: 'stan/k400_b16', True: 'stan/msrvtt_b16'}
"""The config for labels, and for captions."""
_STEPS = 4  # least steps of an epoch, where there are as many videos
_HERE = '{{ fileDirname }}'  # MMEngine puts the folder of the config in its place


class Data(NamedTuple):
    """The files that a config is to read.

    Attributes:
        splits: Number of videos of each split that has a list.
        classes: Number of classes; 0 for captions.
        root: Folder of the videos; relative ones lie in the folder of the config, '' is none.
        tabs: Whether a tab stands between path and label.
    """

    splits: dict[Split, int]
    classes: int
    root: str
    tabs: bool


def load_config(name: str, *, captions: bool) -> Config:
    """The config to copy.

    Raises:
        ValueError: It is of another task than the data.
        FileNotFoundError: There is none.
    """
    cfg = Config.fromfile(find_config(name)[0])
    name_types(cfg)
    model = cfg.get('model') or {}
    head = model.get('cls_head') or {}
    kind = 'captions' if model.get('type') == 'mmstan.VideoTextModel' else 'labels'
    if kind == 'labels' and not {'class_names', 'num_classes'} & {*head}:
        raise ValueError(
            f'--config {name} has no head for one label a video; choose one such as '
            f'{DEFAULTS[captions]}'
        )
    if captions != (kind == 'captions'):
        raise ValueError(
            f'--config {name} learns from {kind}, and the videos have '
            f'{"captions" if captions else "labels"}; choose one such as {DEFAULTS[captions]}'
        )
    for split in ('train', 'val'):
        if find((cfg.get(f'{split}_dataloader') or {}).get('dataset'), 'pipeline') is None:
            raise ValueError(f'--config {name} has no {split}_dataloader with a pipeline')
    return cfg


def check_class_names(cfg: Config, names: Sequence[str]) -> None:
    """Raise ValueError if the text tower of ``cfg``, where there is one, reads two names as one."""
    if any('class_names' in node for node in walk(cfg.model)):
        refuse_equal_texts(names)


def set_rates(cfg: Config, samples: int) -> list[str]:
    """Adapt ``cfg`` to one process and a number of samples for training; the rules, in words.

    The batch is the config's own for a process, or less, so that an epoch has four steps: schedules
    count in parts of an epoch. The learning rate is linear in the global batch, which is the batch
    times accumulated steps.

    Args:
        cfg: Is changed.
        samples: Of an epoch.
    """
    own = cfg.train_dataloader.batch_size
    batch = min(own, max(samples // _STEPS, 1))
    cfg.train_dataloader.batch_size = batch
    why = "the config's own" if batch == own else f'{_STEPS} steps an epoch, not {own}'
    rules = [
        f'batch_size {batch}: {why}',
        f"epochs {cfg.train_cfg.max_epochs}: the config's own",
        _scale_rate(cfg, batch),
        'more processes: --auto-scale-lr multiplies the rate by their number',
    ]
    steps = cfg.optim_wrapper.get('accumulative_counts', 1)
    cfg.auto_scale_lr = dict(enable=False, base_batch_size=batch * steps)
    return rules


def _scale_rate(cfg: Config, batch: int) -> str:
    """Make the learning rate linear in the global batch; the rule."""
    optimizer, steps = cfg.optim_wrapper.optimizer, cfg.optim_wrapper.get('accumulative_counts', 1)
    base, rate = (cfg.get('auto_scale_lr') or {}).get('base_batch_size'), optimizer.lr
    if not base:
        return (
            f"learning rate {rate:g}: the config's own, which names no global batch "
            '(auto_scale_lr.base_batch_size)'
        )
    factor = batch * steps / base
    optimizer.lr = float(f'{rate * factor:.6g}')
    for scheduler in cfg.get('param_scheduler') or []:
        if 'eta_min' in scheduler:
            scheduler.eta_min = float(f'{scheduler.eta_min * factor:.6g}')
    accumulated = f' x {steps} accumulated steps' if steps > 1 else ''
    return (
        f'learning rate {optimizer.lr:g}: {rate:g} is for {base} clips; linear in the global batch '
        f'of {batch}{accumulated}'
    )


def write_config(cfg: Config, data: Data, head: Sequence[str], work_dir: str) -> str:
    """The text of ``cfg`` with other data; ``head`` are its first lines, as comments."""
    kept = {key for key in cfg if key in RUNNER_KEYS or is_read_by_own_code(cfg, key)}
    for key in set(cfg) - kept:
        cfg.pop(key)
    cfg.pop('test_splits', None)
    cfg.work_dir = work_dir
    if data.classes:
        _set_classes(cfg.model, data.classes)
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            there: Split = split if split in data.splits else 'val'
            loader.dataset = _make_dataset(loader.dataset, there, data)
    imports = dict.fromkeys(['mmstan', *list_custom_imports(cfg)])
    cfg.custom_imports = dict(imports=list(imports), allow_failed_imports=False)
    text = re.sub(rf"'{re.escape(_HERE)}(/[^'\n]*)'", r"data_root + '\1'", cfg.pretty_text)
    comments = ''.join(f'# {line}'.rstrip() + '\n' for line in head)
    return f"{comments}\ndata_root = r'''{_HERE}'''\n{text}"


def _set_classes(model: ConfigDict, number: int) -> None:
    for node in walk(model):
        if 'class_names' in node:
            node.class_names = f'{_HERE}/label_map.txt'
            node.pop('num_classes', None)
        elif 'num_classes' in node:
            node.num_classes = number


def _make_dataset(dataset: Any, split: Split, data: Data) -> ConfigDict:
    kept = {key: find(dataset, key) for key in ('pipeline', 'test_mode')}
    made = ConfigDict({key: value for key, value in kept.items() if value is not None})
    root = data.root
    if root and not os.path.isabs(root):
        root = f'{_HERE}/{root}'
    made.data_prefix = dict(video=root)
    if data.classes:
        made.update(type='mmstan.VideoDataset', ann_file=f'{_HERE}/{split}.txt')
        if data.tabs:
            made.delimiter = '\t'
    else:
        made.update(
            type='mmstan.CaptionsJson',
            ann_file=f'{_HERE}/captions.json',
            video_list=f'{_HERE}/{split}.txt',
        )
    return made
