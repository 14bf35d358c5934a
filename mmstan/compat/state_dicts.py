"""Finds the state dict in a checkpoint and fits it to a model, whole or not at all.

"Theirs" is the checkpoint, "own" the model.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from mmstan.compat.misfits import Problems, compare, find_problems, leave_out, list_problems
from mmstan.wording import name_a_few, write_on_one_line

WRAPPERS = (
    'state_dict', 'model_state_dict', 'model_state', 'model', 'module',
    'ema_state_dict', 'state_dict_ema', 'model_ema', 'ema',
)  # fmt: skip
"""Keys that may hold the state dict. MMEngine's ``state_dict`` is the averaged one already."""

_WRAPPING_MODULES = ('module', '_orig_mod')  # of DDP and averaged models, of torch.compile
_OF_AVERAGED_MODELS = ('steps', 'n_averaged')  # counters next to `module.*`

Hint = Callable[[Mapping[str, Any], Collection[str], str], str | None]
HINTS: list[Hint] = []
"""(theirs, own names, file) -> the system with such names and the command to type, or None."""


def find_state_dict(content: Any, source: str) -> dict[str, Any]:
    """Find the state dict in a checkpoint, inside any wrappers.

    Args:
        content: Contents of the file.
        source: Name of the file.

    Raises:
        ValueError: The checkpoint has no state dict.
    """
    for _ in WRAPPERS:
        if not isinstance(content, Mapping):
            kind = type(content).__name__
            raise ValueError(f'checkpoint {source} holds a {kind} where a dict of tensors belongs')
        below = next((key for key in WRAPPERS if _is_wrapper(content, key)), None)
        if below is None:
            break
        content = content[below]
    if not any(isinstance(value, Tensor) for value in content.values()):
        names = name_a_few(content) or 'nothing'
        raise ValueError(f'checkpoint {source} holds no tensors, but {names}')
    return {str(key): value for key, value in content.items()}


def refuse_foreign_wrapping(content: Mapping[str, Any], source: str) -> None:
    """Raise an error if a state dict is wrapped in another way than MMEngine's runner does.

    Args:
        content: Contents of the file.
        source: Name of the file.

    Raises:
        ValueError: The state dict lies under another key than ``state_dict``, or ``torch.compile``
            has renamed its tensors.
    """
    key = next((key for key in WRAPPERS if _is_wrapper(content, key)), 'state_dict')
    compiled = any('_orig_mod' in name.split('.') for name in find_state_dict(content, source))
    if key == 'state_dict' and not compiled:
        return
    how = "its tensors' names have torch.compile's '_orig_mod'" if compiled else f"it is '{key}'"
    raise ValueError(
        f'checkpoint {source} fits once it is unwrapped ({how} of the file): no run here writes '
        'such a file; if it is the model to test, say so with --unwrap'
    )


def _is_wrapper(content: Mapping[Any, Any], key: str) -> bool:
    # A `state_dict` that is a list is an error of its own; a tensor may be called `model`.
    return key in content and (key == 'state_dict' or isinstance(content[key], Mapping))


def unwrap_model(model: nn.Module) -> Any:
    """Return the model in a wrapper of MMEngine, as distributed training uses, or the model."""
    return model.module if is_model_wrapper(model) else model


def is_ours(model: nn.Module) -> bool:
    """Whether a model has parts of mmstan."""
    kinds = {type(module) for module in model.modules()}
    return any(base.__module__.startswith('mmstan.') for kind in kinds for base in kind.__mro__)


def fit_state(
    model: nn.Module,
    theirs: Mapping[str, Any],
    *,
    source: str,
    allow_missing: str | Sequence[str] | None = None,
    new_parts: Sequence[str] = (),
) -> OrderedDict[str, Any]:
    """Fit a checkpoint to a model; returns a state dict with exactly the model's tensors.

    Prefixes of wrappers (``module.``, ``_orig_mod.``) are removed. Modules with hooks for loading
    (interpolated tables) change the state dict first.

    Args:
        model: The model. Frozen towers that the checkpoint lacks read their pretrained weights; the
            rest of the model is not changed.
        theirs: State dict of the checkpoint.
        source: Name of the file.
        allow_missing: Patterns (``'neck.*'``) of names that need not fit, or one pattern. The model
            keeps its own tensors under these names. None if all tensors must fit.
        new_parts: More such patterns, of :func:`mmstan.compat.new_parts.find_new_parts`.

    Raises:
        ValueError: In one line, the number of tensors that are missing, left over, of another shape
            or type, or not finite, and the first names; also if no tensor fits.
    """
    own = model.state_dict()
    state = _rename(theirs, own)
    if isinstance(allow_missing, str):  # its letters would be patterns, and '*' allows everything
        allow_missing = [allow_missing]
    patterns = (*(allow_missing or ()), *new_parts)
    _run_pre_hooks(model, own, state, source, patterns)
    problems = find_problems(model, own, state)
    misfits = {name for names in problems.values() for name in names}
    fits = (own.keys() & state.keys()) - misfits
    # Misfits are allowed by a pattern, or in a frozen tower, which reads its pretrained file.
    towers = _find_frozen_towers(model, problems.get('missing', {}))
    allowed = {name for name in misfits if _matches(name, patterns)}
    allowed |= {name for names in towers.values() for name in names}
    wrong = leave_out(allowed, problems)
    if wrong or not fits:
        raise ValueError(_describe(model, theirs, source, fits, wrong or problems, allow_missing))
    if allowed:
        reason = 'as allow_missing says' if allow_missing else 'for its new task'
        beginning = f'{source}: {len(fits)} of {len(own)} tensors fit'
        _say_what_is_kept(beginning, problems, towers, reason)
    for tower in towers:
        tower.init_weights()  # `own` views its tensors
    kept = {name: own[name] if name in misfits else state.get(name, own[name]) for name in own}
    return OrderedDict(kept)


def _find_frozen_towers(model: nn.Module, missing: Iterable[str]) -> dict[Any, list[str]]:
    """Find frozen towers with pretrained files, and their tensors among the missing ones.

    Methods with a frozen tower release checkpoints without it.
    """
    found: dict[Any, list[str]] = {}
    for prefix, module in model.named_modules():
        frozen = getattr(module, 'frozen', False) and getattr(module, 'pretrained', None)
        names = [name for name in missing if name.startswith(f'{prefix}.')]
        if frozen and names:
            found[module] = names
    return found


def _say_what_is_kept(
    beginning: str, problems: Problems, towers: Mapping[Any, Sequence[str]], reason: str
) -> None:
    pretrained = {name for names in towers.values() for name in names}
    rest = leave_out(pretrained, problems)
    if pretrained:
        files = ' and '.join(sorted({str(tower.pretrained) for tower in towers}))
        beginning += f'; {len(pretrained)} of frozen towers are read from {files}'
    if rest:
        beginning += f'; {reason}, the model keeps its own of the others: {list_problems(rest)}'
    print_log(beginning, 'current', logging.WARNING)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _rename(theirs: Mapping[str, Any], own: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Rename the checkpoint's tensors to the model's names, without the parts of wrappers."""
    unwrapped = {unwrap_name(name): name for name in own}
    # torch's AveragedModel saves `module.*` and a counter, which is no tensor of the model.
    averaged = all(name.startswith('module.') or name in _OF_AVERAGED_MODELS for name in theirs)
    state: OrderedDict[str, Any] = OrderedDict()
    for name, value in theirs.items():
        if averaged and name in _OF_AVERAGED_MODELS and name not in own:
            continue
        bare = unwrap_name(name)
        candidates = (name, bare, bare.removeprefix('model.'))
        new = next((unwrapped.get(x, x) for x in candidates if x in own or x in unwrapped), bare)
        # If two of theirs have one own name, the second keeps its name and counts as left over.
        state[name if new in state or (new != name and new in theirs) else new] = value
    return state


def unwrap_name(name: str) -> str:
    """Remove the parts of a name that DDP, averaged models and torch.compile put into it.

    >>> unwrap_name('module.backbone._orig_mod.tower')
    'backbone.tower'
    """
    return '.'.join(part for part in name.split('.') if part not in _WRAPPING_MODULES)


def _run_pre_hooks(
    model: nn.Module,
    own: Mapping[str, Any],
    state: OrderedDict[str, Any],
    source: str,
    allow_missing: Sequence[str],
) -> None:
    """Let modules fit tables of another length; ``load_state_dict`` calls the hooks again later."""
    for name, module in model.named_modules():
        prefix = f'{name}.' if name else ''
        for hook in module._load_state_dict_pre_hooks.values():
            try:
                hook(state, prefix, {}, True, [], [], [])
            except Exception as error:  # a value may be anything
                tables = [x for x in state if x.startswith(prefix) and _matches(x, allow_missing)]
                if not tables:
                    raise ValueError(
                        f'checkpoint {source} does not fit: {write_on_one_line(error, most=1000)}'
                    ) from error
                for table in tables:
                    if compare(own.get(table), state[table], finite=False):
                        del state[table]


def _describe(
    model: nn.Module,
    theirs: Mapping[str, Any],
    source: str,
    fits: Collection[str],
    problems: Problems,
    allow_missing: Sequence[str] | None,
) -> str:
    """Write the error message, in one line."""
    own = model.state_dict()
    found = (hint(theirs, own.keys(), source) for hint in HINTS)
    advice = next((text for text in found if text is not None), None)
    if advice is None:
        advice = 'take the config that it was trained with'
        if allow_missing is not None and fits:
            parts = sorted({name.split('.')[0] for x in problems.values() for name in x})
            patterns = ', '.join(f"'{part}.*'" for part in parts)
            advice += f', or say what need not fit: allow_missing=[{patterns}]'
    return (
        f'checkpoint {source} does not fit the {type(model).__name__}, {len(fits)} of {len(own)} '
        f'tensors do; {list_problems(problems)}; {advice}'
    )
