"""The precision of a run that is resumed: a change is said, and its loss scale begins again."""

from __future__ import annotations

from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict

_FULL, _SCALED, _UNSCALED = (
    'full precision', 'mixed precision with a loss scale (float16)',
    'mixed precision without a loss scale (bfloat16)',
)  # fmt: skip


def fit_loss_scale(optim_wrapper: Any, state: dict[str, Any]) -> str | None:
    """Take a loss scale out of an optimiser's saved state where the run cannot load it.

    MMEngine loads full precision after float16 in silence, and stops at a loss scale after
    bfloat16, whose state is empty.

    Args:
        optim_wrapper: The wrapper of the run, or several in an ``OptimWrapperDict``.
        state: The wrapper's state in the checkpoint; it is changed.

    Returns:
        A sentence with both precisions, or None if they are the same.
    """
    if isinstance(optim_wrapper, OptimWrapperDict):
        named = [(x, state[name]) for name, x in optim_wrapper.items() if name in state]
        return next(filter(None, [fit_loss_scale(*both) for both in named]), None)
    before, now = _name_saved(state), _name_own(optim_wrapper)
    if before == now:
        return None
    state.pop('loss_scaler', None)
    begins = '; the loss scale begins as in a fresh run' if now == _SCALED else ''
    return f'the checkpoint was trained in {before}, this run goes on in {now}{begins}'


def _name_saved(state: dict[str, Any]) -> str:
    if 'loss_scaler' not in state:
        return _FULL
    return _SCALED if state['loss_scaler'] else _UNSCALED


def _name_own(optim_wrapper: OptimWrapper) -> str:
    scaler = getattr(optim_wrapper, 'loss_scaler', None)
    if scaler is None:
        return _FULL
    return _SCALED if scaler.is_enabled() else _UNSCALED
