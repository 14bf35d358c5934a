"""Time and memory of video backbones: ``python tools/benchmark.py CONFIG [CONFIG ...]``.

Each config runs in a process of its own, ``--rounds`` times in turn. Within a process forward,
training step (forward and backward) and a plain matrix product alternate, so that a share of the
machine's rate is a ratio of neighbours. Medians are printed. Rates count nominal multiply-adds.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.measure import count_multiply_adds, matrix_product_rate, peak_memory, seconds
from mmstan.registry import MODELS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument('--clips', type=int, default=2, help='clips of a batch')
    parser.add_argument('--frames', type=int, default=8)
    parser.add_argument('--size', type=int, default=224, help='pixels of a side')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--repeats', type=int, default=5, help='measurements in a process')
    parser.add_argument('--rounds', type=int, default=1, help='processes for each config')
    parser.add_argument('--compile', action='store_true', help='torch.compile the backbone')
    parser.add_argument('--bf16', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--json', action='store_true', help='measure here and print one json')
    return parser.parse_args()


def measure(args: argparse.Namespace, config: str) -> dict[str, float]:
    """The figures of one config, in this process."""
    torch.set_num_threads(args.threads)
    cfg = Config.fromfile(config)
    init_default_scope('mmaction')
    backbone = MODELS.build(cfg.model.backbone)  # random weights: nothing is loaded
    clip = torch.randn(args.clips, 3, args.frames, args.size, args.size)
    macs = count_multiply_adds(backbone.eval().tokens, clip[:1]).total * args.clips
    run = torch.compile(backbone) if args.compile else backbone

    def forward() -> torch.Tensor:
        with torch.autocast('cpu', torch.bfloat16, enabled=args.bf16):
            return run(clip)

    def step() -> None:
        backbone.zero_grad(set_to_none=True)
        forward().float().square().mean().backward()

    backbone.train()
    step()
    backbone.zero_grad(set_to_none=True)
    memory = peak_memory(step)
    steps = [seconds(step) for _ in range(max(1, args.repeats // 2))]
    backbone.eval().zero_grad(set_to_none=True)
    with torch.no_grad():
        forward()
        pairs = [(matrix_product_rate(), seconds(forward)) for _ in range(args.repeats)]
    shares = [macs / time / rate for rate, time in pairs]
    return dict(
        gmacs=macs / 1e9,
        forward=statistics.median(time for _, time in pairs),
        share=statistics.median(shares),
        step=statistics.median(steps),
        memory=memory / 1e9,
    )


def processor() -> str:
    """Name of the machine's processor."""
    path = Path('/proc/cpuinfo')
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(':')[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def in_own_process(config: str) -> dict[str, float]:
    """The figures of one config, from a fresh process with this one's options."""
    options = [option for option in sys.argv[1:] if not option.endswith('.py')]
    command = [sys.executable, '-W', 'ignore', __file__, config, *options, '--json']
    out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])


def main() -> None:
    """Print the table."""
    args = parse_args()
    if args.json:
        print(json.dumps(measure(args, args.configs[0])))
        return
    rows: dict[str, list[dict[str, float]]] = {config: [] for config in args.configs}
    for _ in range(args.rounds):
        for config in args.configs:
            rows[config].append(in_own_process(config))
    mode = f'{"compiled" if args.compile else "eager"}, {"bf16" if args.bf16 else "fp32"}'
    shape = f'{args.clips} clips of {args.frames} x {args.size} x {args.size}'
    print(f'{processor()}, {args.threads} threads, '
          f'torch {torch.__version__}, {mode}, {shape}')  # fmt: skip
    print(f'{"":44}{"GMACs":>8}{"forward":>10}{"rate":>8}{"step":>9}{"memory":>10}')
    for config, figures in rows.items():
        m = {key: statistics.median(row[key] for row in figures) for key in figures[0]}
        print(f'{config:44}{m["gmacs"]:8.1f}{m["forward"]:8.2f} s{100 * m["share"]:6.0f} %'
              f'{m["step"]:7.2f} s{m["memory"]:7.2f} GB')  # fmt: skip


if __name__ == '__main__':
    main()
