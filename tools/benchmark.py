"""All systems side by side: ``python tools/benchmark.py [CONFIG ...]``, by default every one.

Measures what each costs on this machine: parameters, multiply-adds, forward and training step as
ratios to CLIP mean pooling of the same tower (which is measured beside them where
``configs/baselines/clip_mean`` has it), throughput, peak memory, share of the machine's
matrix-product rate. Each config runs in a process of its own, one after the other, ``--rounds``
times in turn; medians are shown. ``--train moving_shapes`` adds what each learns: top-1 of eight
motions, or R@1 on misaligned videos, with the same small towers, data and budget for all.
``--data`` measures the pipelines of the configs that are named: is the model fed fast enough?

Rows are kept as they finish, in ``work_dirs/benchmark/MACHINE``, and a later call goes on. A config
that has changed, or modules of yours that it imports, is measured anew; after changes of mmstan's
own code say ``--again``. A table is of one machine with one set of options, never of several.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from benchmark_cost import PRECISIONS, Settings, measure
from benchmark_data import measure_pipeline, report, verdict
from benchmark_store import Costs, kind_and_tower, mean_pooling, name_of, rows_of
from benchmark_table import write
from command_line import figures_from_own_process, one_line_errors
from mmengine.config import Config
from toy_training import CONFIGS, plan_system, train

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.measure import machine

SYSTEMS = (
    '*/k400_b32.py',
    '*/k400_b16.py',
    '*/k400_b16_8f.py',
    '*/k400_b16_conv.py',
    '*/msrvtt_b32.py',
    'baselines/*/k400_b32.py',
    'baselines/*/k400_b16.py',
    'baselines/actionclip/k400_b16_*.py',
    'baselines/*/msrvtt_b32.py',
    'baselines/wti/msrvtt_b32_ti.py',
    'mug_stan/ablations/msrvtt_b32_no_stan.py',  # Mug behind CLIP's own frames
    'mug_stan/ablations/msrvtt_b32_wti.py',  # another interaction behind the same branch
)
"""Configs below ``configs`` that are compared by default."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', help='config files')
    parser.add_argument('--rounds', type=int, default=2, help='processes for each; 0: no cost')
    parser.add_argument('--repeats', type=int, default=3, help='measurements in a process')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--clips', type=int, default=2, help='clips of a batch')
    parser.add_argument('--frames', type=int, help="frames of a clip; each config's own")
    parser.add_argument('--size', type=int, help="pixels of a side; each config's own")
    parser.add_argument('--precision', choices=PRECISIONS, default='fp32', help='by autocast')
    parser.add_argument('--compile', action='store_true', help='torch.compile the backbones')
    parser.add_argument('--train', choices=['moving_shapes'], help='train and test as well')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='of --train')
    parser.add_argument('--data', action='store_true', help='measure the pipelines as well')
    parser.add_argument('--videos', type=Path, help="any videos in the place of --data's own")
    parser.add_argument('--workers', type=int, help="of --data; each config's own")
    parser.add_argument('--again', action='store_true', help='forget what is there of CONFIGs')
    parser.add_argument('--report', action='store_true', help='run nothing, show what is there')
    parser.add_argument('--out', type=Path, help='folder of systems.csv, .md and .png')
    parser.add_argument('--json', action='store_true', help=argparse.SUPPRESS)  # one config, here
    return parser.parse_args()


def settings_of(args: argparse.Namespace) -> Settings:
    """What all figures of a table have in common."""
    return Settings(
        device=args.device,
        threads=args.threads,
        clips=args.clips,
        precision=args.precision,
        compiled=args.compile,
        frames=args.frames,
        size=args.size,
    )


def systems() -> list[str]:
    """The configs that are compared by default."""
    found = {path for pattern in SYSTEMS for path in CONFIGS.glob(pattern)}
    found = {path for path in found if path.parts[-2] != 'quickstart'}
    return [str(path) for path in sorted(found)]


def with_mean_pooling(configs: Sequence[str]) -> list[str]:
    """The configs, with CLIP mean pooling of their towers before them, and none twice."""
    means = mean_pooling()
    keys = [kind_and_tower(config) for config in configs]
    every = [*(means[key] for key in keys if key in means), *configs]
    return list({name_of(config): config for config in every}.values())


def in_own_process(config: str, args: argparse.Namespace) -> dict[str, float]:
    """The figures of one config, from a fresh process."""
    options = [f'--{key}={getattr(args, key)}' for key in ('device', 'threads', 'clips', 'repeats')]
    options += [f'--precision={args.precision}', *(['--compile'] if args.compile else [])]
    options += [f'--{k}={getattr(args, k)}' for k in ('frames', 'size') if getattr(args, k)]
    try:
        return figures_from_own_process(__file__, config, *options, '--json')
    except ValueError as error:
        raise ValueError(f'{config}: {error}') from error


def run_costs(costs: Costs, configs: Sequence[str], args: argparse.Namespace) -> Iterator[str]:
    """Measure what is missing, all configs of a round after one another; yields what failed."""
    for index in range(args.rounds):
        for number, config in enumerate(configs, 1):
            if index in costs.rounds(config):
                continue
            print(f'round {index + 1}, {number} of {len(configs)}: {name_of(config)}', flush=True)
            try:
                costs.add(config, index, in_own_process(config, args))
            except ValueError as error:
                print(f'    {error}', flush=True)
                yield str(error)


def run_training(configs: Sequence[str], seeds: list[int], folder: Path) -> Iterator[str]:
    """Train what is missing, all configs with a seed after one another; yields what failed."""
    for seed in seeds:
        for config in configs:
            try:
                train(config, seed, folder)
            except (ValueError, SystemExit) as error:
                print(error, flush=True)
                yield f'{config}: {str(error).strip().splitlines()[-1]}'


def forget(
    costs: Costs, measured: Sequence[str], trained: Sequence[str], seeds: list[int], folder: Path
) -> None:
    """Throw away costs, and runs with the seeds."""
    for config in measured:
        costs.forget(config)
    for config in trained:
        for seed in seeds:
            plan_system(config, seed, folder)[1].forget()


def run_data(configs: Sequence[str], costs: Costs, args: argparse.Namespace) -> None:
    """Print how fast each pipeline is, beside what the model takes."""
    warnings.filterwarnings('ignore', 'This DataLoader will create')  # workers are printed
    for config in configs:
        found = measure_pipeline(
            Config.fromfile(config),
            videos=args.videos,
            workers=args.workers,
            repeats=args.repeats,
        )
        steps = [figures['step'] for figures in costs.rounds(config).values()]
        appetite = args.clips / statistics.median(steps) if steps else None
        print(report(config, found))
        print(f'  {verdict(found["loader"], appetite, one_process=found["one_process"])}')


def main() -> None:
    """Measure what is missing, and show what is there."""
    args = parse_args()
    if args.data and not args.configs:
        raise ValueError('--data measures the pipelines of CONFIG [CONFIG ...]: name at least one')
    if args.json:
        figures = measure(args.configs[0], settings_of(args), repeats=args.repeats)
        print(json.dumps(figures))
        return
    named = args.configs or systems()
    configs = with_mean_pooling(named)
    name = machine(args.device)
    folder = Path('work_dirs/benchmark', re.sub(r'[^\w.]+', '-', name).strip('-').lower())
    settings = settings_of(args)
    costs, runs = Costs(folder / 'cost.jsonl', settings), folder / 'moving_shapes'
    failed: list[str] = []
    if args.again:
        forget(costs, configs if args.rounds else (), named if args.train else (), args.seeds, runs)
    if not args.report:
        failed += run_costs(costs, configs, args)
        failed += run_training(configs, args.seeds, runs) if args.train else []
    if args.data:
        run_data(args.configs, costs, args)
    rows = rows_of(configs, costs, args.seeds, runs, f'{name}, {settings}')
    print('\n' + write(rows, args.out or folder))
    if failed:
        sys.exit('\n'.join(['failed:', *failed]))


if __name__ == '__main__':
    with one_line_errors():
        main()
