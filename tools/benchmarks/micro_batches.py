"""Measure memory and time of micro batches: ``python tools/benchmarks/micro_batches.py``.

Trains one step of a STAN with random weights on random pairs, at once and with ``micro_batch`` of
n/2, n/4, n/8, ... pairs. ``memory`` is the largest sum of live tensors that the step makes, without
weights and the batch: exact, and the same on every machine (on a GPU, its allocator's peak).
``difference`` is the largest one of a gradient from the whole batch's, relative to the largest
gradient or 1. Time is processor time on a CPU, wall-clock time on a GPU; the sizes take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mmstan.benchmark.live_storage import measure_live_peak
from mmstan.benchmark.measure import describe_machine, measure_peak_memory
from mmstan.cli import add_measured_device, at_least, one_line_errors
from mmstan.registry import MODELS

SIZES = dict(
    embed_dim=64,
    vision_cfg=dict(image_size=64, patch_size=16, width=128, layers=6, head_width=64),
    text_cfg=dict(context_length=32, vocab_size=512, width=64, heads=1, layers=2),
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', help="open_clip's name; default: towers of a million parameters")
    parser.add_argument('--pairs', type=at_least(1), default=32, help='n, pairs in a batch')
    parser.add_argument('--frames', type=at_least(1), default=8)
    parser.add_argument('--parts', type=at_least(1), nargs='+', default=[1, 2, 4, 8, 16])
    add_measured_device(parser)
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    parser.add_argument('--rounds', type=at_least(1), default=3, help='timed steps of each')
    return parser.parse_args()


def make_step(
    args: argparse.Namespace, model: str | dict[str, Any]
) -> tuple[Any, Callable[[], None]]:
    """The model and a function that trains a step, without an optimiser."""
    torch.manual_seed(0)
    tower = dict(type='mmstan.ImageTower', model=model)
    net = MODELS.build(
        dict(
            type='mmstan.VideoTextModel',
            backbone=dict(
                type='mmstan.STAN', tower=tower, levels=find_levels(tower), drop_path=0.0
            ),
            text_tower=dict(type='mmstan.TextTower', model=model),
            head=dict(type='mmstan.RetrievalHead', interaction=dict(type='mmstan.Mug')),
        )
    ).to(args.device)
    size = net.backbone.tower.own_grid[0] * net.backbone.tower.patch_size[0]
    imgs = torch.randn(args.pairs, 1, 3, args.frames, size, size, device=args.device)
    text = torch.randint(1, net.text_tower.vocab_size, (args.pairs, 32), device=args.device)
    inputs = dict(imgs=imgs, text=text)

    def step() -> None:
        net.zero_grad()
        sum(net(inputs, mode='loss').values()).backward()
        if imgs.is_cuda:
            torch.cuda.synchronize()

    return net, step


def find_levels(tower: dict[str, Any]) -> tuple[int, ...]:
    """The last four blocks of a tower."""
    depth = MODELS.get(tower['type']).depth(tower)
    return tuple(range(depth - 3, depth + 1))


def measure_gradients(net: Any, step: Callable[[], None]) -> list[Tensor]:
    """The gradients of a step, cloned."""
    step()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def main() -> None:
    """Print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    net, step = make_step(args, args.model or SIZES)
    cpu = args.device == 'cpu'
    clock = time.process_time if cpu else time.perf_counter
    expected = measure_gradients(net, step)
    sizes = [max(1, args.pairs // parts) for parts in args.parts]
    seconds: dict[int, list[float]] = {m: [] for m in sizes}
    for _ in range(args.rounds):
        for m in sizes:
            net.micro_batch = m
            start = clock()
            step()
            seconds[m].append(clock() - start)
    print(f'{describe_machine(args.device)}; {args.pairs} pairs of {args.frames} frames')
    print(f'{"micro_batch":>11}{"memory":>12}{"of whole":>10}{"step":>10}{"difference":>12}')
    whole = None
    for m in sizes:
        net.micro_batch = m
        found = measure_gradients(net, step)
        error = max(
            ((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1)).item()
            for ours, theirs in zip(found, expected)
        )
        net.zero_grad()
        memory = measure_live_peak(step) if cpu else measure_peak_memory(step, device=args.device)
        whole = whole or memory
        print(
            f'{m:>11}{memory / 1e6:>9.1f} MB{memory / whole:>10.0%}'
            f'{statistics.median(seconds[m]):>8.2f} s{error:>12.1e}'
        )


if __name__ == '__main__':
    with one_line_errors():
        main()
