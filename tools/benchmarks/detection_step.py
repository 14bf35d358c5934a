"""Compare training steps: ``python tools/benchmarks/detection_step.py``, detector to recognizer.

Both have the same tower and frames; by default they are as small as the quickstart's. A step is
forward, backward and AdamW on random clips, with ``--boxes`` boxes each for the detector. The steps
of the two take turns; the table shows medians, of the ratios of neighbouring steps, too. A detector
of STAN should need at most 1.15 times the recognizer's step. With CLIP mean pooling a recognizer
computes only the class token in its last block, and a detector all patches, so the ratio is larger.
On a CPU, processor time is measured, so that other work on the machine does not count; on a GPU,
wall-clock time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from mmaction.structures import ActionDataSample
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.measure import describe_machine
from mmstan.cli import add_measured_device, at_least, one_line_errors
from mmstan.registry import MODELS

TINY = dict(
    embed_dim=32, vision_cfg=dict(image_size=48, layers=4, width=64, patch_size=8, head_width=32)
)
"""Sizes of the quickstart's tower."""
SYSTEMS: dict[str, Callable[[int], dict[str, Any]]] = {
    'STAN': lambda depth: dict(type='mmstan.STAN', levels=tuple(range(depth - 2, depth + 1))),
    'CLIP mean': lambda depth: dict(type='mmstan.FrameEncoder'),
}
"""Name of a system -> its backbone for a tower of so many blocks."""
CLASSES = 12


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--tower', help="open_clip's name; default: the quickstart's sizes")
    parser.add_argument('--clips', type=at_least(1), default=16, help='clips in a batch')
    parser.add_argument('--frames', type=at_least(1), default=7, help='frames of a clip')
    parser.add_argument('--size', type=at_least(1), default=48, help='side in pixels')
    parser.add_argument('--boxes', type=at_least(0), default=4, help='boxes of a clip')
    parser.add_argument('--steps', type=at_least(1), default=20, help='timed steps of each')
    add_measured_device(parser)
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    return parser.parse_args()


def build_models(system: str, tower: str | None) -> tuple[nn.Module, nn.Module]:
    """A recognizer and a detector with one kind of backbone, with random weights."""
    tower_cfg = dict(type='mmstan.ImageTower', model=tower or TINY)
    backbone = SYSTEMS[system](MODELS.get(tower_cfg['type']).depth(tower_cfg))
    backbone.update(tower=tower_cfg)
    width = MODELS.build(tower_cfg).joint_dim
    recognizer = dict(
        type='mmaction.Recognizer3D',
        backbone=backbone,
        neck=dict(type='mmstan.MeanPool'),
        cls_head=dict(type='mmaction.TimeSformerHead', num_classes=CLASSES, in_channels=width),
    )
    head = dict(type='mmstan.ActionHead', num_classes=CLASSES + 1)
    detector = dict(
        type='mmstan.ActionDetector',
        backbone=backbone,
        roi_head=dict(type='mmstan.ActionRoIHead', bbox_head=head),
    )
    return MODELS.build(recognizer), MODELS.build(detector)


def make_samples(clip: Tensor, boxes: int) -> list[ActionDataSample]:
    """Data samples of the clips (N, 3, T, H, W), with a class and with random boxes."""
    samples, side = [], clip.shape[-1]
    for i in range(len(clip)):
        corners = torch.rand(boxes, 2, device=clip.device) * side / 2
        labels = torch.zeros(boxes, CLASSES + 1, device=clip.device)
        labels[:, 1 + i % CLASSES] = 1
        sample = ActionDataSample().set_gt_label(i % CLASSES)
        bboxes = torch.cat([corners, corners + side / 2], dim=1)
        sample.gt_instances = InstanceData(bboxes=bboxes, labels=labels)
        samples.append(sample.to(clip.device))
    return samples


def make_step(model: nn.Module, clip: Tensor, samples: list[ActionDataSample]) -> Callable[[], Any]:
    """A function that runs one training step of a model."""
    model.to(clip.device).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6)

    def step() -> None:
        losses = model(clip[:, None], samples, mode='loss')
        sum(x for key, x in losses.items() if 'loss' in key).backward()
        optimizer.step()
        optimizer.zero_grad()
        if clip.is_cuda:
            torch.cuda.synchronize()

    return step


def measure(system: str, args: argparse.Namespace) -> tuple[float, float, float]:
    """Seconds of a training step of the recognizer and of the detector, and their ratio."""
    clock = time.process_time if args.device == 'cpu' else time.perf_counter
    clip = torch.randn(args.clips, 3, args.frames, args.size, args.size, device=args.device)
    samples = make_samples(clip, args.boxes)
    steps = [make_step(model, clip, samples) for model in build_models(system, args.tower)]
    times: list[list[float]] = [[], []]
    for number in range(args.steps + 1):
        for step, found in zip(steps, times):
            start = clock()
            step()
            if number:  # the first one creates the optimiser's state
                found.append(clock() - start)
    ratio = statistics.median(b / a for a, b in zip(*times))
    return statistics.median(times[0]), statistics.median(times[1]), ratio


def main() -> None:
    """Print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    init_default_scope('mmaction')
    found = {system: measure(system, args) for system in SYSTEMS}
    print(f'{describe_machine(args.device)}, {args.threads} threads, fp32')
    print(f'{args.tower or "quickstart tower"}, {args.clips} clips of {args.frames} x {args.size} '
          f'x {args.size}, {args.boxes} boxes each')  # fmt: skip
    print(f'{"":12}{"recognizer":>14}{"detector":>14}{"ratio":>8}')
    for system, (recognizer, detector, ratio) in found.items():
        print(f'{system:12}{1000 * recognizer:11.1f} ms{1000 * detector:11.1f} ms'
              f'{ratio:8.2f}')  # fmt: skip


if __name__ == '__main__':
    with one_line_errors():
        main()
