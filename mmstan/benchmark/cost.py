"""What a config's model costs on this machine.

``python -m mmstan.benchmark.cost CONFIG SETTINGS`` prints the figures of a fresh process as JSON;
SETTINGS are those of :class:`Settings`, as JSON too.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass
from typing import Any

import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmstan.benchmark.measure import (
    count_parameters,
    measure_matrix_products,
    measure_peak_memory,
    measure_seconds,
)
from mmstan.benchmark.view import (
    build,
    count_view,
    find_view_size,
    freeze,
    make_view,
    use_stand_ins,
    without_computing,
)
from mmstan.registry import MODELS
from mmstan.wording import count_things

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


@dataclass(frozen=True)
class Settings:
    """How the cost is measured; figures of one table have all of them in common.

    Attributes:
        device: ``'cpu'`` or ``'cuda'``.
        threads: Of the processor.
        clips: Of a batch.
        precision: A key of ``PRECISIONS``; the lower ones by autocast.
        compiled: Whether the backbone is compiled.
        frames: Of a clip, None for each config's own.
        size: Pixels of a side, None for each config's own.
        repeats: Measurements in a process.
    """

    device: str
    threads: int
    clips: int = 2
    precision: str = 'fp32'
    compiled: bool = False
    frames: int | None = None
    size: int | None = None
    repeats: int = 3

    def __str__(self) -> str:
        """What a table says of them."""
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
    """The figures of one config, with random weights.

    A view goes from frames to scores, or to the features that texts are compared with; a training
    step is the model's own loss, texts included, and its gradients.

    Returns:
        ``gmacs`` of a view (nominal: every token through every layer), ``parameters`` of the whole
        model and those ``trained``, seconds of ``forward`` and ``step`` for a batch, ``memory``
        (bytes of a step beyond what is held), ``share`` (multiply-adds a second over those of a
        plain matrix product of the same precision).
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    cfg = Config.fromfile(config)
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    use_stand_ins(cfg, classes=400)
    frames, size = find_view_size(cfg, frames=settings.frames, size=settings.size)
    empty = build(cfg)
    with without_computing(empty):
        macs = count_view(empty, torch.empty(1, 3, frames, size, size))[0].total
    model_cfg = {key: x for key, x in cfg.model.items() if key != 'data_preprocessor'}
    model = MODELS.build(model_cfg).to(settings.device)
    freeze(model, cfg.get('optim_wrapper') or {})
    if settings.compiled:
        model.backbone.compile()
    clip = torch.randn(settings.clips, 3, frames, size, size, device=settings.device)
    every, trained = count_parameters(model)
    return dict(
        gmacs=macs / 1e9,
        parameters=every,
        trained=trained,
        **_times(model, clip, settings, macs * settings.clips),
    )


def _times(model: Any, clip: Tensor, settings: Settings, macs: int) -> dict[str, float]:
    """Time and memory; forwards, steps and plain products take turns."""
    device, dtype = settings.device, PRECISIONS[settings.precision]
    autocast = torch.autocast(device, dtype, enabled=settings.precision != 'fp32')
    view, samples = make_view(model), _samples(model, len(clip))

    def forward() -> None:
        with torch.no_grad(), autocast:
            view(clip)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with autocast:
            losses = model(clip[:, None], samples, mode='loss')
        sum(x for key, x in losses.items() if 'loss' in key).backward()

    model.train()
    step()  # features of class names are known from here on
    model.zero_grad(set_to_none=True)
    memory = measure_peak_memory(step, device=device)
    steps = [measure_seconds(step, device=device) for _ in range(settings.repeats)]
    model.eval().zero_grad(set_to_none=True)
    forward()
    pairs = [
        (
            measure_matrix_products(device=device, dtype=dtype),
            measure_seconds(forward, device=device),
        )
        for _ in range(settings.repeats)
    ]
    return dict(
        forward=statistics.median(time for _, time in pairs),
        step=statistics.median(steps),
        memory=memory,
        share=statistics.median(macs / time / rate for rate, time in pairs),
    )


def _samples(model: Any, n: int) -> list[ActionDataSample]:
    """Labels, or captions, of ``n`` clips."""
    samples = [ActionDataSample() for _ in range(n)]
    for i, sample in enumerate(samples):
        if hasattr(model, 'cls_head'):
            sample.set_gt_label(i % model.cls_head.num_classes)
        else:
            sample.set_field(['a video of something that moves'], 'captions')
    return samples


if __name__ == '__main__':
    print(json.dumps(measure(sys.argv[1], Settings(**json.loads(sys.argv[2])))))
