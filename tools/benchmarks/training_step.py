"""Measure a training step with a frozen tower: ``python tools/benchmarks/training_step.py``.

Compares DiST, which needs no gradients in its tower, with ST-Adapter, which backpropagates through
the frozen tower to its adapters, and with full fine-tuning of the tower (DiST Table 3). A step is
forward, backward and AdamW on random clips. Every method runs in its own process, ``--rounds``
times in turn; the table shows medians. ``held`` is the memory of weights and optimiser state,
``peak`` is the largest during a step, weights and state included. On a CPU, processor time is
measured, so that other work on the machine does not count; on a GPU, wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.measure import count_parameters, describe_machine, measure_peak_memory
from mmstan.benchmark.own_process import run_own_process
from mmstan.cli import add_measured_device, at_least, one_line_errors
from mmstan.registry import MODELS

METHODS: dict[str, dict[str, Any]] = {
    'DiST': dict(type='mmstan.DiST', tower=dict(frozen=True)),
    'DiST, bf16 tower': dict(type='mmstan.DiST', tower=dict(frozen=True), tower_dtype='bfloat16'),
    'ST-Adapter': dict(type='mmstan.STAdapter', tower=dict(frozen=True)),
    'full fine-tuning': dict(type='mmstan.FrameEncoder', tower=dict(frozen=False)),
}
"""Backbones, each with the sizes of its paper. All but DiST read the sparse frames only."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--tower', default='ViT-B-16-quickgelu', help="open_clip's name")
    parser.add_argument('--clips', type=at_least(1), default=2, help='clips in a batch')
    parser.add_argument(
        '--frames', type=at_least(1), default=8, help="the tower's frames of a clip"
    )
    parser.add_argument(
        '--gamma', type=at_least(1), default=2, help="DiST's dense frames per frame of the tower"
    )
    parser.add_argument('--size', type=at_least(1), default=224, help='side in pixels')
    add_measured_device(parser)
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    parser.add_argument(
        '--steps', type=at_least(1), default=3, help='timed steps, after one warm-up step'
    )
    parser.add_argument('--rounds', type=at_least(1), default=1, help='processes per method')
    parser.add_argument(
        '--method', choices=METHODS, help='measure this method in this process, print JSON'
    )
    return parser.parse_args()


def build(
    method: str, model: str | Mapping[str, Any], *, frames: int, gamma: int
) -> tuple[nn.Module, int]:
    """The backbone of a method with random weights, and the number of frames of its clips."""
    cfg = METHODS[method]
    cfg = dict(cfg, tower=dict(cfg['tower'], type='mmstan.ImageTower', model=model))
    if cfg['type'] == 'mmstan.DiST':
        cfg.update(gamma=gamma, num_frames=frames)
        frames *= gamma
    return MODELS.build(cfg), frames


def training_step(backbone: nn.Module, clip: Tensor) -> tuple[Callable[[], None], Optimizer]:
    """A function that runs one training step and then deletes the gradients, and its optimiser."""
    backbone.train()
    optimizer = torch.optim.AdamW([p for p in backbone.parameters() if p.requires_grad], lr=1e-6)

    def step() -> None:
        backbone(clip).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if clip.is_cuda:
            torch.cuda.synchronize()

    return step, optimizer


def measure(args: argparse.Namespace) -> dict[str, float]:
    """Measure ``args.method`` in this process.

    Returns:
        ``trained`` (millions of parameters), ``held`` and ``memory`` (GB), ``step`` (seconds).
    """
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.device == 'cpu' else time.perf_counter
    backbone, t = build(args.method, args.tower, frames=args.frames, gamma=args.gamma)
    clip = torch.randn(args.clips, 3, t, args.size, args.size, device=args.device)
    step, optimizer = training_step(backbone.to(args.device), clip)
    step()  # creates the optimiser's state
    state = [x for values in optimizer.state.values() for x in values.values()]
    held = sum(x.nbytes for x in (*backbone.parameters(), *state))
    times = []
    for _ in range(args.steps):
        start = clock()
        step()
        times.append(clock() - start)
    return dict(
        trained=count_parameters(backbone)[1] / 1e6,
        held=held / 1e9,
        memory=(held + measure_peak_memory(step, device=args.device)) / 1e9,
        step=statistics.median(times),
    )


def main() -> None:
    """Print the table."""
    args = parse_args()
    if args.method:
        print(json.dumps(measure(args)))
        return
    rows: dict[str, list[dict[str, float]]] = {method: [] for method in METHODS}
    for _ in range(args.rounds):
        for method in METHODS:
            own = run_own_process(__file__, *sys.argv[1:], '--method', method)
            rows[method].append(own)
    print(f'{describe_machine(args.device)}, {args.threads} threads, fp32')
    print(f'{args.tower}, {args.clips} clips of {args.frames} x {args.size} x {args.size}, '
          f'DiST {args.frames} + {args.gamma * args.frames} frames')  # fmt: skip
    print(f'{"":20}{"trained":>10}{"held":>12}{"peak":>12}{"step":>10}')
    for method, measured in rows.items():
        m = {key: statistics.median(row[key] for row in measured) for key in measured[0]}
        print(f'{method:20}{m["trained"]:8.1f} M{m["held"]:9.2f} GB{m["memory"]:9.2f} GB'
              f'{m["step"]:8.2f} s')  # fmt: skip


if __name__ == '__main__':
    with one_line_errors():
        main()
