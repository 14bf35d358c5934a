"""The configs that ship: loaded, built without memory, trained for one step."""

import re
from pathlib import Path
from typing import Any

import torch
from helpers.scripts import PROJECT
from helpers.tiny_models import shaken
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

CONFIGS = sorted(
    str(path.relative_to(PROJECT))
    for path in (PROJECT / 'configs').rglob('*.py')
    if '_base_' not in path.parts
)

_BUILT: dict[str, tuple[torch.nn.Module, list[torch.nn.Parameter]]] = {}


def on_meta(cfg: dict[str, Any]) -> torch.nn.Module:
    """The model of a config, without memory; Mixup draws numbers and cannot be built like that.

    Many configs differ in data and recipe alone. Configs with the same model get the same object,
    whose parameters are frozen or not as if it were new.
    """
    cfg = dict(cfg)
    MODELS.build(cfg.pop('data_preprocessor'))
    key = repr(cfg)
    if key not in _BUILT:
        with torch.device('meta'):
            model = MODELS.build(cfg)
        _BUILT[key] = model, [p for p in model.parameters() if p.requires_grad]
    model, trainable = _BUILT[key]
    model.requires_grad_(False)
    for parameter in trainable:
        parameter.requires_grad_(True)
    return model


def parameter_groups(name: str, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """Parameter name -> its optimiser group, of the config of that name."""
    cfg = Config.fromfile(PROJECT / f'configs/{name}.py')
    init_default_scope(cfg.default_scope)
    (tmp_path / 'names.txt').write_text('one\ntwo\n')
    if 'class_names' in cfg.model.get('cls_head', {}):
        cfg.model.cls_head.class_names = str(tmp_path / 'names.txt')
    model = on_meta(cfg.model)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    return {names[id(p)]: group for group in groups for p in group['params']}


def load(name: str) -> Config:
    """A config by its path below ``configs``, its scope the default one."""
    cfg = Config.fromfile(PROJECT / 'configs' / name)
    init_default_scope(cfg.default_scope)
    return cfg


def assert_learns(cfg: Config, *, no_effect: str = '$^') -> None:
    """Loss and gradients of four clips of the training data; names of ``no_effect`` may have 0."""
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    model.init_weights()
    build_optim_wrapper(model, cfg.optim_wrapper)  # freezes what the rules freeze
    shaken(model)  # what is behind a zero-initialised layer gets no gradient before that has moved
    data = DATASETS.build(cfg.train_dataloader.dataset)
    data.set_epoch(0, seed=0)  # the same crops every time
    batch = pseudo_collate([data[i * len(data) // 4] for i in range(4)])
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    loss = sum(value for key, value in losses.items() if key.startswith('loss'))
    assert loss.isfinite() and loss > 0
    loss.backward()
    trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
    assert trained
    idle = {key for key, p in trained.items() if p.grad is None or not p.grad.any()}
    # A softmax does not see what all weights, or all scores of a tight transformer, have in common.
    unseen = re.compile(r'(cls_)?head\.interaction\.((text|video)_net\.\d|out)\.bias')
    idle = {key for key in idle if not unseen.fullmatch(key) and not re.fullmatch(no_effect, key)}
    assert not idle
    assert all(p.grad.isfinite().all() for p in trained.values())
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)
