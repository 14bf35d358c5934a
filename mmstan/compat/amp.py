"""Mixed precision: on machines without a GPU, and in bfloat16 in MMAction2's heads."""

import functools
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
    first ``AmpOptimWrapper`` changes the heads: to import them takes seconds.
    """
    from mmengine.optim.optimizer.amp_optimizer_wrapper import AmpOptimWrapper

    init = AmpOptimWrapper.__init__
    if hasattr(init, 'casts_scores'):
        return False

    @functools.wraps(init)
    def init_and_cast_scores(self: AmpOptimWrapper, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        _cast_scores_of_heads()

    vars(init_and_cast_scores)['casts_scores'] = True
    AmpOptimWrapper.__init__ = init_and_cast_scores
    return True


def _cast_scores_of_heads() -> None:
    from mmaction.models.heads.base import BaseHead

    original = BaseHead.loss_by_feat
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def loss_by_feat(self: BaseHead, cls_scores: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(cls_scores, 'dtype', None) is torch.bfloat16:
            cls_scores = cls_scores.float()
        return original(self, cls_scores, *args, **kwargs)

    BaseHead.loss_by_feat = loss_by_feat
