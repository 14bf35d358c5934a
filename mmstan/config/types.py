"""The classes that a config names, and their arguments."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import mmengine.registry
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry

from mmstan.config.walk import walk
from mmstan.registry import known_classes, type_name

# Registries that the `type` of a config may refer to. MMAction2's registry of functions is not
# among them: it names a module that does not exist, so a look into it fails.
_KINDS = (
    'DATA_SAMPLERS', 'DATASETS', 'EVALUATOR', 'HOOKS', 'LOG_PROCESSORS', 'LOOPS', 'METRICS',
    'MODEL_WRAPPERS', 'MODELS', 'OPTIM_WRAPPER_CONSTRUCTORS', 'OPTIM_WRAPPERS', 'OPTIMIZERS',
    'PARAM_SCHEDULERS', 'TASK_UTILS', 'TRANSFORMS', 'VISBACKENDS', 'VISUALIZERS',
    'WEIGHT_INITIALIZERS',
)  # fmt: skip

Callables = list[Callable[..., Any]]


def name_types(cfg: Config) -> None:
    """Replace our classes in a pure-Python config by their names, ``'mmstan.STAN'``."""
    for node in walk(cfg._cfg_dict):
        if 'type' in node and not isinstance(node['type'], str):
            name = type_name(node['type'])
            node['type'] = name if name in known_classes() else node['type']
    if not cfg.get('default_scope'):
        cfg.default_scope = 'mmaction'  # where the names are found


def find_classes(kind: Any, scope: str | None = 'mmaction') -> Callables:
    """Find the classes that ``type=kind`` may mean; several registries may have the name."""
    if not isinstance(kind, str):
        return [kind] if callable(kind) else []
    name = type_name(kind)
    if name in known_classes():
        return [known_classes()[name]]
    found: Callables = []
    for registry in _visit_registries(scope or 'mmengine'):
        cls = registry.get(kind)
        if cls is not None and cls not in found:
            found.append(cls)
    return found


def list_known_names(kind: str, scope: str | None = 'mmaction') -> list[str]:
    """List the names, without scope, in the registries that know ``kind``."""
    if type_name(kind) in known_classes():
        return [name.removeprefix('mmstan.') for name in known_classes()]
    names: list[str] = []
    for registry in _visit_registries(scope or 'mmengine'):
        # A registry also finds the classes of its parents, up to MMEngine's root.
        place: Registry | None = registry if registry.get(kind) is not None else None
        while place is not None:
            names += place.module_dict
            place = place.parent
    return names


def _visit_registries(scope: str) -> Iterator[Registry]:
    with DefaultScope.overwrite_default_scope(scope):
        for kind in _KINDS:
            root: Registry = getattr(mmengine.registry, kind)
            with root.switch_scope_and_registry(scope) as registry:
                yield registry


class Arguments(NamedTuple):
    """The named arguments of a class, and whether it may take more."""

    names: frozenset[str]
    more: bool


@functools.cache
def find_arguments(cls: Callable[..., Any]) -> Arguments:
    """Find the arguments of ``cls(...)``, through ``**kwargs`` to its bases."""
    if inspect.isclass(cls):
        inits = [vars(base)['__init__'] for base in cls.__mro__[:-1] if '__init__' in vars(base)]
    else:
        inits = [cls]
    # An `__init__` with `**kwargs` passes the rest on to the next base; one without ends the walk.
    names: set[str] = set()
    for init in inits:
        parameters = list(inspect.signature(init).parameters.values())
        parameters = parameters[1:] if inspect.isclass(cls) else parameters  # without self
        names |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        rest = [p.name for p in parameters if p.kind == p.VAR_KEYWORD]
        if not rest:
            return Arguments(frozenset(names), False)
        read = _read_from_rest(init, rest[0])
        if read is None:
            return Arguments(frozenset(names), True)
        names |= read
    return Arguments(frozenset(names), False)


def _read_from_rest(init: Callable[..., Any], rest: str) -> set[str] | None:
    """Find the keys that ``init`` takes out of its ``**rest``; None if they cannot be known.

    They are known if every use of the rest is ``rest.pop('key')`` or the like, or passes it to the
    ``__init__`` of a base.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError, SyntaxError):
        return None
    keys: set[str] = set()
    understood = 0
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and _is_name(node.func.value, rest):
            if not (node.args and isinstance(node.args[0], ast.Constant)):
                return None
            keys.add(str(node.args[0].value))  # kwargs.pop('key', ...)
            understood += 1
        handed_on = any(k.arg is None and _is_name(k.value, rest) for k in node.keywords)
        if handed_on and ast.unparse(node.func).endswith('.__init__'):
            understood += 1
    uses = sum(_is_name(node, rest) for node in ast.walk(tree))
    return keys if uses == understood else None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
