"""A name that a child registry does not have is looked for in MMAction2's, in silence."""

import inspect
from pathlib import Path

import pytest
from mmaction import registry as upstream
from mmengine import registry as root
from mmengine.config import Config
from mmengine.registry import Registry

from mmstan import registry

CONFIGS = Path(__file__).parents[2] / 'configs'
REGISTRIES = {
    name: value
    for name, value in vars(registry).items()
    if isinstance(value, Registry) and value.scope == 'mmstan'
}


def types(node: object) -> set[str]:
    """Every ``type='mmstan...'`` and ``constructor='mmstan...'`` in a config."""
    found: set[str] = set()
    if isinstance(node, dict):
        found = {v for k, v in node.items() if k in ('type', 'constructor') and isinstance(v, str)}
    if isinstance(node, (dict, list, tuple)):
        for child in node.values() if isinstance(node, dict) else node:
            found |= types(child)
    return {name for name in found if name.startswith('mmstan.')}


USED = sorted(
    set().union(*(types(Config.fromfile(path).to_dict()) for path in CONFIGS.rglob('[!_]*.py')))
)


@pytest.mark.parametrize('name', REGISTRIES)
def test_registered_classes_live_in_mmstan(name: str) -> None:
    ours = REGISTRIES[name]
    theirs = getattr(upstream, name, getattr(root, name))  # MMAction2 has no strategies
    ours.import_from_location()
    for key, cls in ours.module_dict.items():
        if cls.__module__.split('.')[0] == 'mmstan':  # other tests register classes of their own
            assert key == cls.__name__
            assert theirs.get(f'mmstan.{key}') is cls


@pytest.mark.parametrize('name', USED)
def test_names_in_configs_are_ours(name: str) -> None:
    found = [r.get(name) for r in REGISTRIES.values() if name.split('.')[1] in r.module_dict]
    assert [cls.__module__.split('.')[0] for cls in found] == ['mmstan']
    assert inspect.isclass(found[0])


def test_configs_use_ours() -> None:
    assert {'mmstan.AccMetric', 'mmstan.VideoDataset', 'mmstan.ParamGroups'} <= set(USED)
