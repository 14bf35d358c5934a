"""Registries of mmstan: children of MMAction2's, scope ``mmstan``.

``type='mmstan.STAN'`` therefore resolves under ``default_scope='mmaction'``, the scope of every
stock MMAction2 config. Modules are imported when the first of them is asked for.
"""

from mmaction.registry import DATASETS as _DATASETS
from mmaction.registry import HOOKS as _HOOKS
from mmaction.registry import LOOPS as _LOOPS
from mmaction.registry import METRICS as _METRICS
from mmaction.registry import MODELS as _MODELS
from mmaction.registry import OPTIM_WRAPPER_CONSTRUCTORS as _OPTIM_WRAPPER_CONSTRUCTORS
from mmaction.registry import TRANSFORMS as _TRANSFORMS
from mmengine.registry import Registry


def _child(parent: Registry, *locations: str) -> Registry:
    return Registry(parent.name, parent=parent, scope='mmstan', locations=list(locations))


MODELS = _child(_MODELS, 'mmstan.models', 'mmstan.methods')
DATASETS = _child(_DATASETS, 'mmstan.datasets')
TRANSFORMS = _child(_TRANSFORMS, 'mmstan.datasets.transforms')
METRICS = _child(_METRICS, 'mmstan.evaluation')
LOOPS = _child(_LOOPS, 'mmstan.engine')
HOOKS = _child(_HOOKS, 'mmstan.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(_OPTIM_WRAPPER_CONSTRUCTORS, 'mmstan.engine')
