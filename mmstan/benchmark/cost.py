"""Measure the cost of a config's model on this machine.

``python -m mmstan.benchmark.cost CONFIG SETTINGS`` prints the figures of a fresh process as JSON;
SETTINGS is a JSON object with the fields of :class:`Settings`.
"""

from __future__ import annotations

import functools
import json
import statistics
import sys
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils._pytree import tree_leaves

from mmstan.benchmark.iteration import (
    PRECISIONS,
    Iteration,
    find_largest_batch,
    use_precision,
)
from mmstan.benchmark.measure import (
    count_parameters,
    measure_matrix_products,
    measure_seconds,
)
from mmstan.benchmark.view import (
    build,
    count_view,
    find_view_size,
    make_view,
    use_stand_ins,
    without_computing,
)
from mmstan.engine.compiling import compile_model
from mmstan.registry import MODELS
from mmstan.wording import count_things

VARIANTS: dict[str, dict[str, Any]] = {
    'bf16': dict(precision='bf16'),
    'compiled': dict(compiled=True),
    'bf16-compiled': dict(precision='bf16', compiled=True),
}
"""Settings that a table can compare with its own: name -> the fields that differ."""


@dataclass(frozen=True)
class Settings:
    """The measurement settings, equal for all figures of one table.

    Attributes:
        device: ``'cpu'`` or ``'cuda'``.
        threads: Number of processor threads.
        clips: Clips in a batch.
        precision: A key of ``PRECISIONS``; the lower ones by autocast.
        compiled: Whether backbone and text tower are compiled.
        frames: Frames of a clip; None: each config's own number.
        size: Side of a frame in pixels; None: each config's own size.
        repeats: Measurements per process.
        largest_batch: Whether to look for the largest batch that fits on the GPU.
        views: Whether to measure views as well; a compiled backbone is compiled once more for them.
    """

    device: str
    threads: int
    clips: int = 2
    precision: str = 'fp32'
    compiled: bool = False
    frames: int | None = None
    size: int | None = None
    repeats: int = 3
    largest_batch: bool = False
    views: bool = True

    def __str__(self) -> str:
        """The settings as a table's heading names them, in one line."""
        backbone = 'compiled' if self.compiled else 'eager'
        own = [f'{x} {unit}' for x, unit in ((self.frames, 'frames'), (self.size, 'px')) if x]
        return ', '.join(
            [
                count_things(self.threads, 'thread'),
                self.precision,
                backbone,
                f'{count_things(self.clips, "clip")} of a batch',
                f'{count_things(self.repeats, "measurement")} a process',
                *own,
            ]
        )


def measure(config: str, settings: Settings) -> dict[str, float]:
    """Measure one config with random weights.

    A forward pass goes from frames to class scores, or in retrieval to video features. A training
    step computes the model's own loss, texts included, and its gradients; an iteration also clips
    them, updates the weights by the config's optimiser and deletes the gradients.

    Returns:
        ``gmacs`` of a view (nominal: every token through every layer), numbers of ``parameters``
        and of ``trained`` ones, and the figures of :meth:`Iteration.measure`; with ``views``
        seconds of ``forward`` for a batch, ``forward_products`` (multiply-adds that a plain fp32
        product makes in that time), ``share`` (the forward pass's multiply-adds a second
        over a plain matrix product's, in the same precision), and in a lower precision
        ``agreement``, the least cosine between a clip's output and its output in fp32; with
        ``largest_batch`` that number of clips.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    cfg = Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    use_stand_ins(cfg, classes=400)
    frames, size = find_view_size(cfg, frames=settings.frames, size=settings.size)
    # Multiply-adds: of a model without weights, so nothing is computed.
    empty = build(cfg)
    with without_computing(empty):
        macs = count_view(empty, torch.empty(1, 3, frames, size, size))[0].total
    # Times and memory: of a real model, frozen as in training. The clips are preprocessed already.
    model_cfg = {key: x for key, x in cfg.model.items() if key != 'data_preprocessor'}
    model = MODELS.build(model_cfg).to(settings.device)
    iteration = Iteration(
        model,
        cfg.get('optim_wrapper') or {},
        device=settings.device,
        precision=settings.precision,
    )
    clip = torch.randn(settings.clips, 3, frames, size, size, device=settings.device)
    every, trained = count_parameters(model)
    return dict(
        gmacs=macs / 1e9,
        parameters=every,
        trained=trained,
        **_measure_training(iteration, clip, settings),
        **(_measure_view(model, clip, settings, macs * settings.clips) if settings.views else {}),
    )


def _measure_training(iteration: Iteration, clip: Tensor, settings: Settings) -> dict[str, float]:
    """The figures of training."""
    model = iteration.model.train()
    # Computes the text features of the classes too, which the model keeps, and does not count them.
    macs = iteration.count(clip)
    found = {}
    if settings.largest_batch:  # before compiling, which would be done again for each batch
        fits = functools.partial(iteration.fits, clip)
        found['largest_batch'] = find_largest_batch(fits)
    if settings.compiled:
        compile_model(model)
        iteration.run(clip)
    return found | iteration.measure(clip, macs=macs, repeats=settings.repeats)


def _measure_view(model: Any, clip: Tensor, settings: Settings, macs: int) -> dict[str, float]:
    """The figures of views; ``macs`` are a batch's."""
    device, dtype, view = settings.device, PRECISIONS[settings.precision], make_view(model.eval())

    def forward() -> Any:
        with torch.no_grad(), use_precision(device, settings.precision):
            return view(clip)

    output, found = forward(), {}
    if settings.precision != 'fp32':
        with torch.no_grad():
            found['agreement'] = _compare(output, view(clip))
    laps = []
    for _ in range(settings.repeats):
        # They follow each other, so that a slow moment of the machine hits all.
        pace = measure_matrix_products(device=device)
        exact = dtype == torch.float32
        rate = pace if exact else measure_matrix_products(device=device, dtype=dtype)
        time = measure_seconds(forward, device=device)
        laps.append((time, pace * time, macs / time / rate))
    medians = (statistics.median(column) for column in zip(*laps))
    return dict(zip(('forward', 'forward_products', 'share'), medians), **found)


def _compare(output: Any, exact: Any) -> float:
    """Least cosine between two outputs of a clip: scores, or features."""
    rows = [
        next(x for x in tree_leaves(y) if torch.is_tensor(x) and x.is_floating_point())
        for y in (output, exact)
    ]
    a, b = (x.double().flatten(1) for x in rows)
    return F.cosine_similarity(a, b).min().item()


if __name__ == '__main__':
    print(json.dumps(measure(sys.argv[1], Settings(**json.loads(sys.argv[2])))))
