"""Measure the cost of a config's model on this machine.

``python -m mmstan.benchmark.cost CONFIG SETTINGS`` prints the figures of a fresh process as JSON;
SETTINGS is a JSON object with the fields of :class:`Settings`.
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
from mmengine.structures import InstanceData
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
    make_boxes,
    make_view,
    use_stand_ins,
    without_computing,
)
from mmstan.engine.compiling import compile_model
from mmstan.registry import MODELS
from mmstan.wording import count_things

PRECISIONS = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


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
    step computes the model's own loss, texts included, and its gradients.

    Returns:
        ``gmacs`` of a view (nominal: every token through every layer), numbers of ``parameters``
        and of ``trained`` ones, seconds of ``forward`` and ``step`` for a batch, ``memory`` (bytes
        that a step needs in addition to weights and inputs), ``share`` (the forward pass's
        multiply-adds a second over a plain matrix product's, in the same precision).
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
    freeze(model, cfg.get('optim_wrapper') or {})
    if settings.compiled:
        compile_model(model)
    clip = torch.randn(settings.clips, 3, frames, size, size, device=settings.device)
    every, trained = count_parameters(model)
    return dict(
        gmacs=macs / 1e9,
        parameters=every,
        trained=trained,
        **_times(model, clip, settings, macs * settings.clips),
    )


def _times(model: Any, clip: Tensor, settings: Settings, macs: int) -> dict[str, float]:
    """Measure ``forward``, ``step``, ``memory`` and ``share``; ``macs`` are a batch's."""
    device, dtype = settings.device, PRECISIONS[settings.precision]
    autocast = torch.autocast(device, dtype, enabled=settings.precision != 'fp32')
    view, samples = make_view(model), _samples(model, clip)

    def forward() -> None:
        with torch.no_grad(), autocast:
            view(clip)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        with autocast:
            losses = model(clip[:, None], samples, mode='loss')
        sum(x for key, x in losses.items() if 'loss' in key).backward()

    model.train()
    step()  # warm-up: computes the text features of the classes, which the model keeps
    model.zero_grad(set_to_none=True)
    memory = measure_peak_memory(step, device=device)
    steps = [measure_seconds(step, device=device) for _ in range(settings.repeats)]
    model.eval().zero_grad(set_to_none=True)
    forward()
    # Product and forward pass follow each other, so that a slow moment of the machine hits both.
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


def _samples(model: Any, clip: Tensor) -> list[ActionDataSample]:
    """Data samples of N clips with a class label each, a caption each, or four persons each."""
    samples = [ActionDataSample() for _ in clip]
    boxes = make_boxes(clip)
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


if __name__ == '__main__':
    print(json.dumps(measure(sys.argv[1], Settings(**json.loads(sys.argv[2])))))
