"""Training with parameters, gradients and optimiser state divided over processes (FSDP2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import mmengine
import torch
from mmengine._strategy import DDPStrategy, SingleDeviceStrategy
from mmengine.device import get_device
from mmengine.dist import barrier, is_distributed, is_main_process
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn

from mmstan.compat.new_parts import find_new_parts
from mmstan.compat.state_dicts import find_state_dict, fit_state, unwrap_name
from mmstan.engine.prepare_resume import fix_last_checkpoint, has_named_state, is_folder
from mmstan.engine.shard_checkpoints import (
    gather_model,
    gather_optimizer,
    narrow_scalar,
    read_parts,
    read_rest,
    spread_model,
    spread_optimizer,
    write_folder,
)
from mmstan.engine.shard_units import shard_model, widen_scalars
from mmstan.registry import STRATEGIES, type_name
from mmstan.wording import check_choice

Callback = Callable[[dict[str, Any]], Any]


@STRATEGIES.register_module()
class FullyShard(DDPStrategy):
    """``torch.distributed.fsdp.fully_shard`` under MMEngine's ``FlexibleRunner``.

    Every process holds a part of each parameter, its gradient and its optimiser state, and gathers
    the parameters of a unit (a block, a layer of a branch) while it computes the unit. Gradients
    and steps equal those of one process with the joined batch. Set ``runner_type='FlexibleRunner'``
    next to ``strategy=dict(type='mmstan.FullyShard')``, and start with ``tools/dist_train.sh``.

    Checkpoints are whole, with the names and shapes of any other run, so that ``tools/test.py`` and
    ``load_from`` need nothing. The optimiser's state goes by parameter names, and resumes under
    this strategy only.

    Args:
        reshard: Free a unit's parameters after its forward pass and gather them again for the
            backward pass. False keeps them: more memory, less traffic, above all with
            ``micro_batch``, whose parts gather three times each.
        cpu_offload: Keep parameters and optimiser state in the machine's memory.
        param_dtype: ``'bfloat16'`` gathers and computes in bfloat16 with gradients reduced in
            float32: half the traffic. None leaves precision to the optimiser's wrapper
            (``--amp bfloat16``).
        sharded: Write a checkpoint as a folder, each process its part; ``tools/join_checkpoint.py``
            makes the whole file of it.
        **kwargs: MMEngine's arguments; ``FlexibleRunner`` gives them.

    Raises:
        ValueError: There is no launcher.
    """

    allow_missing: Sequence[str] | None = None
    """The config's, where a training begins (:func:`~mmstan.apis.load.build_runner` sets it); None
    if a checkpoint must fit whole."""

    def __init__(
        self,
        *,
        reshard: bool = True,
        cpu_offload: bool = False,
        param_dtype: Literal['bfloat16'] | None = None,
        sharded: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choice('param_dtype', param_dtype, ('bfloat16',), optional=True)
        super().__init__(**kwargs)
        if not is_distributed():
            raise ValueError(
                'mmstan.FullyShard divides a model over several processes: start with '
                'tools/dist_train.sh CONFIG PROCESSES'
            )
        self.reshard, self.cpu_offload, self.sharded = reshard, cpu_offload, sharded
        self.param_dtype = param_dtype

    def _setup_distributed(
        self, launcher: str = 'pytorch', backend: str = 'nccl', **kwargs: Any
    ) -> None:
        # Tensors of a GPU travel through NCCL; objects and offloaded gradients through gloo.
        both = 'cpu:gloo,cuda:nccl' if backend == 'nccl' else backend
        super()._setup_distributed(launcher, both, **kwargs)

    def prepare(self, model: Any, *, compile: Any = False, **kwargs: Any) -> Any:
        """Build, initialise and shard the model, then build optimiser and schedule.

        Raises:
            ValueError: ``compile`` is set, or training is in float16.
        """
        if compile:
            raise ValueError('compile: mmstan.FullyShard does not compile; leave it out')
        refuse_half_precision(kwargs.get('optim_wrapper'))
        if is_main_process():  # FlexibleRunner looks for the checkpoint before any hook can
            fix_last_checkpoint(self.work_dir)
        barrier()
        prepared = super().prepare(model, compile=False, **kwargs)
        self._bound_scales()
        if hasattr(self, 'optim_wrapper'):
            self.optim_wrapper.optimizer.register_step_post_hook(self._bound_scales)
        return prepared

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        model = self.convert_model(model.to(get_device()))
        self._scalars = widen_scalars(model)
        units = shard_model(
            model,
            reshard=self.reshard,
            cpu_offload=self.cpu_offload,
            param_dtype=None if self.param_dtype is None else getattr(torch, self.param_dtype),
        )
        self.logger.info(f'mmstan.FullyShard: {units} units over {self.world_size} processes')
        return model

    def _bound_scales(self, *_: Any) -> None:
        """Bound learned scales where they are kept; a forward pass sees gathered copies."""
        for module in self.model.modules():
            if hasattr(module, 'bound_scale'):
                module.bound_scale()

    # --- checkpoints ---

    def model_state_dict(self) -> dict[str, Any]:
        """The whole state dict on rank 0, empty on others; all ranks have to call it."""
        state = gather_model(self.model)
        return {name: narrow_scalar(name, x, self._scalars) for name, x in state.items()}

    def optim_state_dict(self) -> dict[str, Any]:
        """The optimiser's whole state by parameter names; all ranks have to call it."""
        state = gather_optimizer(self.model, self.optim_wrapper.optimizer)
        return {**state, **self._get_settings()}

    def _get_settings(self) -> dict[str, Any]:
        settings = self.optim_wrapper.base_param_settings
        return {} if settings is None else dict(base_param_settings=settings)

    def save_checkpoint(
        self,
        filename: str,
        *,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        extra_ckpt: dict[str, Any] | None = None,
        callback: Callback | None = None,
    ) -> None:
        """Write a checkpoint; all ranks have to call it, rank 0 writes the file."""
        optimizer = save_optimizer and hasattr(self, 'optim_wrapper')
        if self.sharded and optimizer:
            rest = self._collect_rest(save_param_scheduler, extra_ckpt or {}, callback)
            write_folder(filename, self.model, self.optim_wrapper.optimizer, rest)
        elif is_main_process():
            SingleDeviceStrategy.save_checkpoint(
                self,
                filename,
                save_optimizer=save_optimizer,
                save_param_scheduler=save_param_scheduler,
                extra_ckpt=extra_ckpt,
                callback=callback,
            )
        else:  # in the order in which rank 0 gathers
            self.model_state_dict()
            if optimizer:
                self.optim_state_dict()

    def _collect_rest(
        self, with_schedule: bool, extra: dict[str, Any], callback: Callback | None
    ) -> dict[str, Any]:
        """The contents of a checkpoint but for its tensors, which rank 0 writes."""
        if not is_main_process():
            return {}
        rest = dict(extra)
        rest.setdefault('meta', {}).update(
            seed=self.seed, time=self.timestamp, mmengine=mmengine.__version__
        )
        if with_schedule and hasattr(self, 'param_schedulers'):
            rest['param_schedulers'] = self.scheduler_state_dict()
        if callback is not None:
            callback(rest)
        rest.update(scalars=sorted(self._scalars), optimizer_settings=self._get_settings())
        return rest

    def resume(self, filename: str, **kwargs: Any) -> dict[str, Any]:
        """Go on from a checkpoint, which must fit whole."""
        self.allow_missing = None
        return super().resume(filename, **kwargs)

    def load_checkpoint(
        self, filename: str, *, callback: Callback | None = None, **_: Any
    ) -> dict[str, Any]:
        """Load a whole checkpoint, of any engine, or the folder of a sharded one.

        Raises:
            ValueError: It does not fit the model.
        """
        self.logger.info(f'Load checkpoint from {filename}')
        if is_folder(filename):
            checkpoint = dict(read_rest(filename), state_dict={}, optimizer=Path(filename))
            if callback is not None:
                callback(checkpoint)
            read_parts(filename, self.model)
            return checkpoint
        # On the CPU: a GPU holds a part of it.
        checkpoint = _load_checkpoint(filename, map_location='cpu')
        theirs = {
            name: x.reshape(1) if unwrap_name(name) in self._scalars else x
            for name, x in find_state_dict(checkpoint, filename).items()
        }
        begins = self.allow_missing is not None
        checkpoint['state_dict'] = fit_state(
            self.model,
            theirs,
            source=filename,
            allow_missing=self.allow_missing,
            new_parts=find_new_parts(self.model, theirs) if begins else (),
        )
        if callback is not None:
            callback(checkpoint)
        spread_model(self.model, checkpoint.pop('state_dict'))
        self._bound_scales()
        return checkpoint

    def load_optim_state_dict(self, state_dict: Any) -> None:
        """Load the optimiser's state by parameter names.

        Raises:
            ValueError: It goes by number, as of a run that is not sharded.
        """
        optimizer = self.optim_wrapper.optimizer
        if isinstance(state_dict, Path):
            read_parts(state_dict, self.model, optimizer)
            return
        if not has_named_state(state_dict):
            raise ValueError(
                "the checkpoint's optimiser goes by number, so Runner wrote it: resume it without "
                'runner_type and strategy, or start from its weights with load_from'
            )
        settings = state_dict.pop('base_param_settings', None)
        if settings is not None:
            self.optim_wrapper.base_param_settings = settings
        spread_optimizer(self.model, optimizer, state_dict)


def refuse_half_precision(optim_wrapper: Any) -> None:
    """Raise ValueError for the config of an optimiser's wrapper that trains in float16."""
    if not isinstance(optim_wrapper, Mapping):
        return
    kind, dtype = type_name(optim_wrapper.get('type', '')), optim_wrapper.get('dtype')
    if kind == 'AmpOptimWrapper' and str(dtype).rpartition('.')[2] != 'bfloat16':
        raise ValueError(
            f'optim_wrapper.dtype={dtype}: float16 needs a loss scale that all processes share, '
            'which mmstan.FullyShard has not; take --amp bfloat16'
        )
