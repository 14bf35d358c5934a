"""MMEngine's FlexibleRunner, which sharded training needs."""

import functools
from typing import Any
from unittest import mock


def keep_place_in_checkpoints() -> bool:
    """MMEngine 0.10.7's ``FlexibleRunner.save_checkpoint`` overwrites the place that it is given.

    Runner keeps the epoch and iteration of its caller. FlexibleRunner counts one up again, so that
    a checkpoint written after a validation (``save_best``) or between two iterations names a place
    that the run has not reached. No thread at MMEngine was found.
    """
    from mmengine.runner import FlexibleRunner

    upstream = FlexibleRunner.save_checkpoint
    if hasattr(upstream, '__wrapped__'):
        return False

    @functools.wraps(upstream)
    def save_checkpoint(
        self: FlexibleRunner,
        out_dir: str,
        filename: str,
        *args: Any,
        meta: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        place = {key: meta[key] for key in ('epoch', 'iter') if key in meta} if meta else {}
        save = self.strategy.save_checkpoint

        def save_at_place(*, extra_ckpt: dict[str, Any], **options: Any) -> None:
            extra_ckpt['meta'].update(place)
            save(extra_ckpt=extra_ckpt, **options)

        with mock.patch.object(self.strategy, 'save_checkpoint', save_at_place):
            upstream(self, out_dir, filename, *args, meta=meta, **kwargs)

    FlexibleRunner.save_checkpoint = save_checkpoint
    return True
