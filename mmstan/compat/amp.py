"""Mixed precision: on machines without a GPU, and in bfloat16 in MMAction2's heads."""

import functools
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any
from unittest import mock

import torch


def allow_amp_without_gpu() -> bool:
    """MMEngine 0.10.7's ``AmpOptimWrapper`` asserts a GPU (mmpretrain#1556, open).

    Its ``autocast`` knows the CPU, in bfloat16. So on CPU ``--amp`` runs in bfloat16, without a
    loss scale, which the range of bfloat16 does not need. That is slow, but the code is the same
    as on a GPU.
    """
    from mmengine.device import get_device
    from mmengine.logging import print_log
    from mmengine.optim.optimizer import amp_optimizer_wrapper as upstream

    init = upstream.AmpOptimWrapper.__init__
    if get_device() != 'cpu' or hasattr(init, '__wrapped__'):
        return False

    @functools.wraps(init)
    def init_on_cpu(
        self: upstream.AmpOptimWrapper,
        loss_scale: Any = 'dynamic',
        dtype: str | torch.dtype | None = None,
        use_fsdp: bool = False,
        **kwargs: Any,
    ) -> None:
        print_log('No GPU: mixed precision runs in bfloat16 without a loss scale', 'current')
        scaler = functools.partial(torch.amp.GradScaler, 'cpu')
        with mock.patch.multiple(upstream, is_cuda_available=lambda: True, GradScaler=scaler):
            init(self, dict(enabled=False), torch.bfloat16, use_fsdp, **kwargs)

    upstream.AmpOptimWrapper.__init__ = init_on_cpu
    return True


def count_bfloat16_scores() -> bool:
    """MMAction2 1.2's heads compute training's accuracy in NumPy, which has no bfloat16.

    So ``--amp bfloat16`` with a linear head ends in ``TypeError: Got unsupported ScalarType
    BFloat16``. No thread was found. Here the scores become float32; the loss does so anyway. The
    heads are changed when something imports them: that takes seconds, so ``import mmstan`` leaves
    it for later.
    """
    if _HEADS in sys.modules:
        return _cast_scores(sys.modules[_HEADS])
    if any(isinstance(finder, _HeadsFinder) for finder in sys.meta_path):
        return False
    sys.meta_path.insert(0, _HeadsFinder())
    return True


_HEADS = 'mmaction.models.heads.base'


class _HeadsFinder(MetaPathFinder):
    """Finds MMAction2's module of heads where Python does, and changes it once it is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the spec of the heads; None for every other module."""
        spec = PathFinder.find_spec(name, path, target) if name == _HEADS else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_cast(module: ModuleType) -> None:
            execute(module)
            _cast_scores(module)

        vars(spec.loader)['exec_module'] = execute_and_cast
        return spec


def _cast_scores(heads: Any) -> bool:
    original = heads.BaseHead.loss_by_feat
    if hasattr(original, '__wrapped__'):
        return False

    @functools.wraps(original)
    def loss_by_feat(self: Any, cls_scores: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(cls_scores, torch.Tensor) and cls_scores.dtype == torch.bfloat16:
            cls_scores = cls_scores.float()
        return original(self, cls_scores, *args, **kwargs)

    heads.BaseHead.loss_by_feat = loss_by_feat
    return True
