"""A training iteration as a runner does it: loss, gradients, clipping, optimiser, zero_grad."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmaction.structures import ActionDataSample
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmstan.benchmark.measure import (
    count_multiply_adds,
    measure_laps,
    measure_matrix_products,
    measure_peak_memory,
)
from mmstan.benchmark.view import make_boxes
from mmstan.models.heads import ClassTexts

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
_OPTIMISER = ('optimizer', 'constructor', 'paramwise_cfg', 'clip_grad')
_FIGURES = ('step', 'iteration', 'step_products', 'iteration_products', 'utilisation')
_HALVINGS = 16  # from the loss's first scale in fp16 to 1; steps that overflow are skipped
_FINEST = 16  # the largest batch is found to a sixteenth of itself


def use_precision(device: str, precision: str) -> torch.autocast:
    """Autocast of a key of ``PRECISIONS``; of fp32, a context that changes nothing."""
    kind = torch.device(device).type
    return torch.autocast(kind, PRECISIONS[precision], enabled=precision != 'fp32')


class Iteration:
    """A model's training iteration on random clips.

    Args:
        model: A recognizer, retrieval model or detector without a preprocessor, on its device.
        optim_wrapper: The config's ``optim_wrapper``; without an optimiser, AdamW is taken. Its
            rules freeze parameters.
        device: ``'cpu'`` or ``'cuda'``.
        precision: A key of ``PRECISIONS``; fp16 scales the loss.
    """

    def __init__(
        self, model: nn.Module, optim_wrapper: Mapping[str, Any], *, device: str, precision: str
    ) -> None:
        self.model, self.device, self.precision = model, device, precision
        cfg = {key: optim_wrapper[key] for key in _OPTIMISER if key in optim_wrapper}
        cfg.setdefault('optimizer', dict(type='AdamW', lr=1e-6))
        cfg['type'] = 'AmpOptimWrapper' if precision == 'fp16' else 'OptimWrapper'
        self.optim_wrapper: OptimWrapper = build_optim_wrapper(model, cfg)

    def compute_gradients(self, clip: Tensor, precision: str | None = None) -> None:
        """Forward and backward pass of clips (N, 3, T, H, W), texts or boxes included."""
        self.optim_wrapper.backward(self._compute_loss(clip, precision or self.precision))

    def _compute_loss(self, clip: Tensor, precision: str) -> Tensor:
        # Each step draws the same template of the class names, of which the model keeps features.
        torch.manual_seed(0)
        samples = _make_samples(self.model, clip)
        with use_precision(self.device, precision):
            losses = self.model(clip[:, None], samples, mode='loss')
        return sum(x for key, x in losses.items() if 'loss' in key)

    def update(self) -> None:
        """Clip the gradients where the config does, make the optimiser's step, delete them."""
        self.optim_wrapper.step()
        self.optim_wrapper.zero_grad()

    def run(self, clip: Tensor) -> None:
        """One whole iteration."""
        self.compute_gradients(clip)
        self.update()

    def count(self, clip: Tensor) -> int:
        """Multiply-adds of forward and backward pass of an eager model.

        Features of class names are computed before, where the model keeps them.
        """
        # Without oneDNN, which counting turns off, bf16 takes minutes on a CPU. On a GPU a batch
        # may fit in the own precision alone.
        precision = 'fp32' if self.device == 'cpu' else self.precision
        if any(isinstance(part, ClassTexts) for part in self.model.modules()):
            with torch.no_grad():
                self._compute_loss(clip, precision)
        compute = functools.partial(self.compute_gradients, precision=precision)
        counted = count_multiply_adds(compute, clip, gradients=True)
        self.optim_wrapper.zero_grad()
        return counted.total

    def measure(self, clip: Tensor, *, macs: int, repeats: int) -> dict[str, float]:
        """Measure a model that has run before.

        Args:
            clip: Clips (N, 3, T, H, W).
            macs: Multiply-adds of forward and backward pass.
            repeats: Number of measurements; the figures are their medians.

        Returns:
            Seconds of ``step`` (forward and backward pass) and of the whole ``iteration``,
            ``step_products`` and ``iteration_products`` (multiply-adds that a plain fp32 product
            makes in these times), ``memory`` (bytes that a step needs in addition to weights and
            inputs), ``utilisation`` (the iteration's multiply-adds a second over a matrix
            product's in the same precision), and on a GPU ``peak`` (bytes in use at most, weights
            and optimiser state included).
        """
        device, dtype = self.device, PRECISIONS[self.precision]
        memory = measure_peak_memory(lambda: self.compute_gradients(clip), device=device)
        self.update()  # creates the optimiser's state
        if self.precision == 'fp16':
            self._create_state(clip)
        laps, peaks = [], []
        for _ in range(repeats):
            # They follow each other, so that a slow moment of the machine hits all.
            pace = measure_matrix_products(device=device)
            exact = dtype == torch.float32
            rate = pace if exact else measure_matrix_products(device=device, dtype=dtype)
            if device != 'cpu':  # the product's own matrices do not count
                torch.cuda.reset_peak_memory_stats()
            step, update = measure_laps(
                lambda: self.compute_gradients(clip), self.update, device=device
            )
            whole = step + update
            laps.append((step, whole, pace * step, pace * whole, macs / whole / rate))
            if device != 'cpu':
                peaks.append(torch.cuda.max_memory_allocated())
        medians = (statistics.median(column) for column in zip(*laps))
        found = dict(zip(_FIGURES, medians), memory=memory)
        return {**found, 'peak': max(peaks)} if peaks else found

    def _create_state(self, clip: Tensor) -> None:
        """Run until the loss's scale is so small that the optimiser steps and has its state."""
        for _ in range(_HALVINGS):
            if self.optim_wrapper.optimizer.state:
                return
            self.run(clip)

    def fits(self, clip: Tensor, clips: int) -> bool:
        """Whether an iteration of ``clips`` clips like ``clip`` (N, 3, T, H, W) fits on the GPU."""
        try:
            self.run(clip[:1].repeat(clips, 1, 1, 1, 1))
        except torch.OutOfMemoryError:
            return False
        finally:
            self.optim_wrapper.zero_grad()
            if self.device != 'cpu':
                torch.cuda.empty_cache()
        return True


def find_largest_batch(fits: Callable[[int], bool], *, start: int = 1) -> int:
    """The largest batch that fits, to a sixteenth of itself; 0 if none does.

    >>> find_largest_batch(lambda clips: clips <= 100)
    100
    """
    fitting, too_large = 0, start
    while fits(too_large):
        fitting, too_large = too_large, 2 * too_large
    while too_large - fitting > max(1, fitting // _FINEST):
        middle = (fitting + too_large) // 2
        if fits(middle):
            fitting = middle
        else:
            too_large = middle
    return fitting


def _make_samples(model: Any, clip: Tensor) -> list[ActionDataSample]:
    """Data samples of N clips with a class label each, a caption each, or four persons each."""
    samples, boxes = [ActionDataSample() for _ in clip], make_boxes(clip)
    for i, sample in enumerate(samples):
        if hasattr(model, 'roi_head'):
            _set_persons(sample, boxes[i], model.roi_head.bbox_head.num_classes)
        elif hasattr(model, 'cls_head'):
            sample.set_gt_label(i % model.cls_head.num_classes)
        else:
            sample.set_field(['a video of something that moves'], 'captions')
    return samples


def _set_persons(sample: ActionDataSample, boxes: Tensor, num_classes: int) -> None:
    """Give a sample persons with an action each."""
    labels = torch.eye(num_classes)[1 + torch.arange(len(boxes)) % (num_classes - 1)]
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
