"""A hook that ends training at the first loss, gradient or weight that is NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor

from mmstan.compat.state_dicts import unwrap_model
from mmstan.registry import HOOKS
from mmstan.wording import name_a_few

_SHOWN = 8
_LEAST_SCALE = 2.0**-14  # thirty halvings below 2 ** 16: the scale is not the cause any more


@HOOKS.register_module()
class FiniteTraining(Hook):
    """Stops training at the first loss, gradient or weight that is NaN or infinite.

    * Losses: a NaN or infinity on any process stops all processes after that iteration.
    * Gradients: the same for their norm, unless a loss scaler is on. A loss scaler skips updates
      with infinite gradients itself; then a scale below 2 ** -14 stops training.
    * Weights: they are checked after each epoch and before a checkpoint is written, so that no
      checkpoint holds NaN.

    ``FloatingPointError`` names batch, videos, learning rate, gradient norm and the last
    checkpoint. :class:`EpochTrainLoop` registers this hook.
    """

    priority = 'VERY_HIGH'  # before the logger and the hooks that write checkpoints

    def __init__(self) -> None:
        self._norms: dict[str, Tensor] = {}  # optimiser -> norm of its gradients at its last step
        self._finite: dict[str, float] = {}  # the last of these norms that was a number
        self._handles: list[Any] = []

    def before_train(self, runner: Runner) -> None:
        """Note the gradient norm before each step, unless clipping computes it anyway."""
        for name, wrapper in list_wrappers(runner.optim_wrapper):
            if getattr(wrapper, 'clip_func', None) is torch.nn.utils.clip_grad_norm_:
                continue

            def note(optimizer: Any, args: Any, kwargs: Any, name: str = name) -> None:
                norm = _compute_gradient_norm(optimizer)
                # A loss scaler leaves the unscaling to fused optimisers.
                scale = getattr(optimizer, 'grad_scale', None)
                self._norms[name] = norm if scale is None else norm / scale

            self._handles.append(wrapper.optimizer.register_step_pre_hook(note))

    def after_train(self, runner: Runner) -> None:
        """Remove the hooks on the optimisers."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Stop at a loss or gradient that is not finite."""
        found = self._find(runner, outputs or {})
        if get_world_size() > 1:
            # All processes must agree to stop, or the others would wait for this one's gradients.
            someone = torch.tensor(float(found is not None))
            all_reduce(someone, 'max')
            if not someone:
                return
        elif found is None:
            return
        # A loss of one process makes the gradients of all processes NaN: it is the cause.
        everyone = [x for x in all_gather_object(found and (*found, name_samples(data_batch))) if x]
        first = min(rank for rank, _, _ in everyone)
        reason = next(reason for rank, reason, _ in everyone if rank == first)
        names = [name for rank, _, own in everyone if rank == first for name in own]
        batches = f'batch {batch_idx + 1} of {len(runner.train_dataloader)}'
        where = f'iteration {runner.iter + 1} (epoch {runner.epoch + 1}, {batches})'
        if is_main_process():
            runner.logger.error(f'{where}: {reason}; the videos: {", ".join(names)}')
        raise FloatingPointError(
            f'{where}: {reason}; {self._describe_rates(runner)}; {_list_files(names)}. '
            f'{_name_last_checkpoint(runner)} {_advise(runner)}'
        )

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop before weights that are not finite are written or tested."""
        self._check_weights(runner, dict(unwrap_model(runner.model).named_parameters()))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to write weights that are not finite, also averaged (EMA) or best ones."""
        names = [name for name, _ in unwrap_model(runner.model).named_parameters()]
        state = checkpoint.get('state_dict', {})
        self._check_weights(runner, {name: state[name] for name in names if name in state})

    def _find(self, runner: Runner, outputs: Mapping[str, Any]) -> tuple[int, str] | None:
        """Find a number that is not finite: (0, message) for a loss, (1, message) for gradients."""
        losses = {name: _to_float(x) for name, x in outputs.items() if 'loss' in name}
        bad = [f'{name}={x}' for name, x in losses.items() if not math.isfinite(x)]
        if bad:
            return 0, f'the loss is not a number: {", ".join(bad)}'
        for name, wrapper in list_wrappers(runner.optim_wrapper):
            scaler = getattr(wrapper, 'loss_scaler', None)
            norm = self._read_norm(runner, name, wrapper)
            if norm is not None and math.isfinite(norm):
                self._finite[name] = norm
            if scaler is not None and scaler.is_enabled():
                scale = scaler.get_scale()
                if scale < _LEAST_SCALE:
                    return 1, (
                        f'the loss scale has sunk to {scale:g}: the gradients are NaN or infinite '
                        'at any scale, and no update is made'
                    )
            elif norm is not None and not math.isfinite(norm):
                return 1, f'the loss is {losses.get("loss", "?")}, but the gradient norm is {norm}'
        return None

    def _read_norm(self, runner: Runner, name: str, wrapper: OptimWrapper) -> float | None:
        """Read the norm of the gradients at the last step, before they were clipped."""
        if name in self._norms:
            return float(self._norms[name])
        clipped = getattr(wrapper, 'grad_name', None)
        buffer = runner.message_hub.log_scalars.get(f'train/{clipped}')
        return None if buffer is None else float(buffer.current())

    def _describe_rates(self, runner: Runner) -> str:
        """Describe learning rate and gradient norm of each optimiser (most models have one)."""
        said = []
        for name, wrapper in list_wrappers(runner.optim_wrapper):
            norm = self._read_norm(runner, name, wrapper)
            rates = {group['lr'] for group in wrapper.optimizer.param_groups}
            rate = ' and '.join(f'{x:g}' for x in sorted({min(rates), max(rates)}))
            known = 'not known' if norm is None else f'{norm:g}'
            if name in self._finite and self._finite[name] != norm:
                known += f' ({self._finite[name]:g} an update before)'
            said.append(f'learning rate {rate}, gradient norm {known}')
        return ', '.join(said)

    def _check_weights(self, runner: Runner, weights: Mapping[str, Tensor]) -> None:
        floats = {k: _take_local(x) for k, x in weights.items() if x.is_floating_point()}
        if not floats:
            return
        finite = torch.stack([x.isfinite().all().cpu() for x in floats.values()]).tolist()
        bad = [name for name, good in zip(floats, finite) if not good]
        if bad:
            raise FloatingPointError(
                f'after iteration {runner.iter}: {len(bad)} of {len(floats)} weights are NaN or '
                f'infinite ({name_a_few(bad)}), and are not written to a checkpoint; '
                f'{self._describe_rates(runner)}. {_name_last_checkpoint(runner)} {_advise(runner)}'
            )


def name_samples(data_batch: Any) -> list[str]:
    """Name the files of a batch, or its videos, as far as its samples have such names."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    infos = [getattr(sample, 'metainfo', {}) for sample in samples or ()]
    names = [info.get('filename') or info.get('video_id') for info in infos]
    return [str(name) for name in names if name is not None]


def list_wrappers(wrapper: Any) -> Iterator[tuple[str, OptimWrapper]]:
    """List the wrappers of an ``OptimWrapperDict`` with their names; a single one has ''."""
    if isinstance(wrapper, OptimWrapperDict):
        yield from wrapper.items()
    else:
        yield '', wrapper


def _to_float(x: Any) -> float:
    return float(x.detach() if isinstance(x, Tensor) else x)


def _compute_gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    parameters = [p for group in optimizer.param_groups for p in group['params']]
    gradients = [_take_local(p.grad) for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients).detach()


def _take_local(x: Tensor) -> Tensor:
    """Return this process's part of a sharded tensor, and other tensors as they are."""
    return x.to_local() if hasattr(x, 'to_local') else x


def _list_files(names: Sequence[str]) -> str:
    if not names:
        return "its files are not known (PackActionInputs(meta_keys=('filename', ...)) names them)"
    return f'its files: {name_a_few(names, _SHOWN)}'


def _name_last_checkpoint(runner: Runner) -> str:
    path = runner.message_hub.runtime_info.get('last_ckpt')
    if path:
        return f'The last checkpoint is {path}.'
    start = runner._load_from
    return f'No checkpoint was written yet{f", the run started from {start}" if start else ""}.'


def _advise(runner: Runner) -> str:
    wrappers = [wrapper for _, wrapper in list_wrappers(runner.optim_wrapper)]
    ideas = ['a lower optim_wrapper.optimizer.lr', 'a longer warm-up']
    if not all(wrapper.clip_grad_kwargs for wrapper in wrappers):
        ideas.append('optim_wrapper.clip_grad=dict(max_norm=1)')
    if any(getattr(wrapper, 'cast_dtype', None) == torch.float16 for wrapper in wrappers):
        ideas.append('--amp bfloat16')
    return f'Try {", ".join(ideas)}, and look at these videos'
