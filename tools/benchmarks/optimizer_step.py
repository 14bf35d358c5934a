"""Measure AdamW's step, fused, foreach and plain: ``python tools/benchmarks/optimizer_step.py``.

The parameters have the shapes of an open_clip model, their gradients are random. The three forms
run in turn, ``--rounds`` times; the table shows medians. On a CPU, processor time is measured, so
that other work on the machine does not count; on a GPU, wall-clock time. ``difference`` is the
largest one of a parameter from the plain form's.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch.optim import AdamW, Optimizer

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.measure import describe_machine
from mmstan.cli import add_measured_device, at_least, one_line_errors
from mmstan.models import ImageTower, TextTower

FORMS: dict[str, dict[str, bool]] = {
    'plain': dict(foreach=False, fused=False),
    'foreach': dict(foreach=True, fused=False),
    'fused': dict(foreach=False, fused=True),
}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--model', default='ViT-B-32-quickgelu', help="open_clip's name")
    add_measured_device(parser)
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    parser.add_argument(
        '--rounds', type=at_least(1), default=5, help='timed steps, after one warm-up step'
    )
    return parser.parse_args()


def measure_steps(
    shapes: list[torch.Size], *, device: str, rounds: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of a step by form, and the largest difference from the plain form's parameters."""
    optimizers = {name: _make_optimizer(shapes, device, form) for name, form in FORMS.items()}
    times: dict[str, list[float]] = {name: [] for name in FORMS}
    clock = time.process_time if device == 'cpu' else time.perf_counter
    for _ in range(1 + rounds):
        for name, optimizer in optimizers.items():
            start = clock()
            optimizer.step()
            if device != 'cpu':
                torch.cuda.synchronize()
            times[name].append(clock() - start)
    plain = optimizers['plain'].param_groups[0]['params']
    differences = {
        name: max(
            (ours - theirs).abs().max().item()
            for ours, theirs in zip(optimizer.param_groups[0]['params'], plain)
        )
        for name, optimizer in optimizers.items()
    }
    return {name: statistics.median(x[1:]) for name, x in times.items()}, differences


def _make_optimizer(shapes: list[torch.Size], device: str, form: dict[str, bool]) -> Optimizer:
    generator = torch.Generator(device).manual_seed(0)
    parameters = []
    for shape in shapes:
        x = torch.nn.Parameter(torch.randn(shape, device=device, generator=generator))
        x.grad = torch.randn(shape, device=device, generator=generator)
        parameters.append(x)
    return AdamW(parameters, lr=1e-4, betas=(0.9, 0.98), weight_decay=0.05, **form)


def main() -> None:
    """Print the table."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    with torch.device('meta'):
        towers = ImageTower(args.model), TextTower(args.model)
    shapes = [p.shape for tower in towers for p in tower.parameters()]
    print(describe_machine(args.device))
    seconds, differences = measure_steps(shapes, device=args.device, rounds=args.rounds)
    total = sum(shape.numel() for shape in shapes) / 1e6
    print(f'{args.model}: {len(shapes)} tensors, {total:.1f} M parameters')
    print(f'{"AdamW":10}{"step":>10}{"difference":>14}')
    for name in FORMS:
        print(f'{name:10}{seconds[name]:>8.2f} s{differences[name]:>14.1e}')


if __name__ == '__main__':
    with one_line_errors():
        main()
