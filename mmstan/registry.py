"""Registries of mmstan: children of MMAction2's, scope ``mmstan``.

``type='mmstan.STAN'`` therefore resolves under ``default_scope='mmaction'``, the scope of every
stock MMAction2 config. Modules are imported when the first of them is asked for.
"""

from collections.abc import Mapping
from typing import Any

from mmaction.registry import DATA_SAMPLERS as _DATA_SAMPLERS
from mmaction.registry import DATASETS as _DATASETS
from mmaction.registry import HOOKS as _HOOKS
from mmaction.registry import LOOPS as _LOOPS
from mmaction.registry import METRICS as _METRICS
from mmaction.registry import MODELS as _MODELS
from mmaction.registry import OPTIM_WRAPPER_CONSTRUCTORS as _OPTIM_WRAPPER_CONSTRUCTORS
from mmaction.registry import TRANSFORMS as _TRANSFORMS
from mmaction.registry import VISUALIZERS as _VISUALIZERS
from mmengine.registry import STRATEGIES as _STRATEGIES
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string


def _child(parent: Registry, *locations: str) -> Registry:
    return Registry(parent.name, parent=parent, scope='mmstan', locations=list(locations))


MODELS = _child(_MODELS, 'mmstan.models', 'mmstan.methods')
DATASETS = _child(_DATASETS, 'mmstan.datasets')
DATA_SAMPLERS = _child(_DATA_SAMPLERS, 'mmstan.datasets')
TRANSFORMS = _child(_TRANSFORMS, 'mmstan.datasets.transforms')
METRICS = _child(_METRICS, 'mmstan.evaluation')
LOOPS = _child(_LOOPS, 'mmstan.engine')
HOOKS = _child(_HOOKS, 'mmstan.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(_OPTIM_WRAPPER_CONSTRUCTORS, 'mmstan.engine')
VISUALIZERS = _child(_VISUALIZERS, 'mmstan.visualization')
# MMAction2 has none of its own.
STRATEGIES = _child(_STRATEGIES, 'mmstan.engine.fully_shard')

_REGISTRIES = (
    MODELS,
    DATASETS,
    DATA_SAMPLERS,
    TRANSFORMS,
    METRICS,
    LOOPS,
    HOOKS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    VISUALIZERS,
    STRATEGIES,
)


def known_classes() -> Mapping[str, type]:
    """Every registered class of ours, the user's own among them, by its name in a config."""
    for each in _REGISTRIES:
        each.import_from_location()
    return {f'mmstan.{name}': c for each in _REGISTRIES for name, c in each.module_dict.items()}


def type_name(kind: Any) -> str:
    """How a config names a class: ``'mmstan.STAN'``, whichever way its ``type`` is written.

    Pure-Python configs hold the class itself, or its full name once they were turned into a dict.
    Classes that are not ours have their bare name; other strings stay as they are.

    >>> type_name('mmstan.methods.stan.STAN'), type_name('mmstan.STAN'), type_name(dict)
    ('mmstan.STAN', 'mmstan.STAN', 'dict')
    """
    found = kind
    if isinstance(kind, str) and kind.startswith('mmstan.') and kind.count('.') > 1:
        try:
            found = get_object_from_string(kind)
        except (ImportError, AttributeError):  # check_arguments names what is not there
            return kind
    if isinstance(found, str) or not hasattr(found, '__name__'):
        return str(kind)
    names = (name for name, known in known_classes().items() if known is found)
    return next(names, found.__name__)
