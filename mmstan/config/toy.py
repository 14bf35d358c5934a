"""The toy form of every method: the same small towers, data and budget for all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config, ConfigDict
from torch import Tensor

from mmstan.config.narrow import narrow_model
from mmstan.config.sources import list_custom_imports
from mmstan.config.tiny import set_classes
from mmstan.config.types import name_types
from mmstan.models.sizes import Sizes

SIZES = Sizes(
    width=64,
    heads=4,
    joint=64,
    text_layers=4,
    layers=4,
    image_size=32,
    patch_size=8,
    hidden=32,
    sharpness=10.0,
)


def make_toy(
    cfg: Config, base: Config, *, pretrained: str | None = None, epochs: int | None = None
) -> Config:
    """Make the run of ``base`` with the method of ``cfg``.

    Data, schedule, learning rate, normalisation and the scale of similarities come from ``base``;
    backbone, neck, head and interaction, their frozen parts, and ``custom_imports`` from ``cfg``.

    Args:
        cfg: A recognition, retrieval or detection config.
        base: A config of Moving Shapes for the same kind of model.
        pretrained: Weights of the toy towers (:func:`take_towers`), None for random ones.
        epochs: The budget, ``base``'s by default.

    Raises:
        ValueError: The two configs have different kinds of models, or the image tower is not
            open_clip's.
    """
    cfg, run = deepcopy(cfg), deepcopy(base)
    name_types(cfg)
    model = cfg.model
    if model.type != base.model.type:
        raise ValueError(f'{cfg.filename}: its model is a {model.type}, not a {base.model.type}')
    require_image_tower(cfg)
    # The method keeps its parts; normalisation, frames and scales come from the shared run.
    model.data_preprocessor = deepcopy(base.model.data_preprocessor)
    frames = base.train_dataloader.dataset.pipeline[0].sampler.num_frames
    narrow_model(model, replace(SIZES, frames=frames, pretrained=pretrained))
    _set_scales(model, base.model)
    if 'text_length' in model:
        model.text_length = base.model.text_length
    if 'class_names' in base:
        set_classes(model, Path(base.class_names))
    run._cfg_dict['model'] = model  # in the place of base's, not merged into it
    imports = dict.fromkeys([*list_custom_imports(base), *list_custom_imports(cfg)])
    run.custom_imports = dict(imports=list(imports), allow_failed_imports=False)
    if epochs and epochs != run.train_cfg.max_epochs:
        _set_epochs(run, epochs)
    return run


def require_image_tower(cfg: Config) -> None:
    """Raise ValueError unless the backbone of ``cfg`` has an open_clip tower."""
    tower = (cfg.model.get('backbone') or {}).get('tower') or {}
    if tower.get('type') != 'mmstan.ImageTower':
        raise ValueError(f'{cfg.filename}: model.backbone.tower is not a mmstan.ImageTower')


def take_towers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take the towers out of a checkpoint's ``state_dict``, under open_clip's names.

    >>> names = ['backbone.tower.visual.proj', 'text_tower.text.cls_emb', 'neck']
    >>> list(take_towers(dict.fromkeys(names, 0)))
    ['visual.proj', 'text.cls_emb']
    """
    found = {}
    for key, tensor in state.items():
        if match := re.search(r'tower\.((?:visual|text)\..*)', key):
            found[match[1]] = tensor
    return found


def _set_scales(model: ConfigDict, base: ConfigDict) -> None:
    """Replace temperatures for CLIP's features, and the number of actions, by the toy's."""
    if 'roi_head' in model:
        model.roi_head.bbox_head.num_classes = base.roi_head.bbox_head.num_classes
        return
    name, scale = ('head', 'scale') if 'head' in model else ('cls_head', 'logit_scale')
    head = model[name]
    if head.get(scale, 100.0) == 100.0 and ('text_tower' in head or name == 'head'):
        head[scale] = base[name][scale]  # not of a linear layer, which has none


def _set_epochs(run: Config, epochs: int) -> None:
    """Stretch or shorten the schedule."""
    factor = epochs / run.train_cfg.max_epochs
    run.train_cfg.update(max_epochs=epochs, val_interval=epochs)
    for scheduler in run.param_scheduler:
        for key in ('begin', 'end', 'T_max'):
            if key in scheduler:
                scheduler[key] *= factor
