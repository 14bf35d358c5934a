"""All systems side by side: ``python tools/benchmark.py [CONFIG ...]``, by default every one.

Measures what each costs on this machine: parameters, multiply-adds, forward and training step as
ratios to CLIP mean pooling of the same tower on as many frames (which is measured beside them where
``configs/baselines/clip_mean`` has it), throughput, peak memory, share of the machine's
matrix-product rate. Each config runs in a process of its own, one after the other, ``--rounds``
times in turn; medians are shown (mean pooling that was measured before is not measured again).
``--train moving_shapes`` adds what each learns: top-1 of eight motions, or R@1 on misaligned
videos, with the same small towers, data and budget for all.
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
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import torch
from benchmark_cost import PRECISIONS, Settings, measure
from benchmark_data import measure_pipeline, report, verdict
from benchmark_store import Costs, Job, digest, rows_of, with_references
from benchmark_table import write
from command_line import at_least, figures_from_own_process, last_error, one_line_errors
from mmengine.config import Config
from toy_training import CONFIGS, plan_system, train

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.config import check_arguments
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
    parser.add_argument(
        '--rounds', type=at_least(0), default=2, help='processes for each; 0: no cost'
    )
    parser.add_argument('--repeats', type=at_least(1), default=3, help='measurements in a process')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    parser.add_argument('--clips', type=at_least(1), default=2, help='clips of a batch')
    parser.add_argument('--frames', type=at_least(1), help="frames of a clip; each config's own")
    parser.add_argument('--size', type=at_least(1), help="pixels of a side; each config's own")
    parser.add_argument('--precision', choices=PRECISIONS, default='fp32', help='by autocast')
    parser.add_argument('--compile', action='store_true', help='torch.compile the backbones')
    parser.add_argument('--train', choices=['moving_shapes'], help='train and test as well')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='of --train')
    parser.add_argument('--data', action='store_true', help='measure the pipelines as well')
    parser.add_argument('--videos', type=Path, help="any videos in the place of --data's own")
    parser.add_argument('--workers', type=at_least(0), help="of --data; each config's own")
    parser.add_argument(
        '--again',
        action='store_true',
        help='forget what is there of CONFIGs, mean pooling beside them and toy towers',
    )
    parser.add_argument('--report', action='store_true', help='run nothing, show what is there')
    parser.add_argument('--out', type=Path, help='folder of systems.csv, .md and .png')
    parser.add_argument('--json', action='store_true', help=argparse.SUPPRESS)  # one config, here
    args = parser.parse_args()
    args.seeds = list(dict.fromkeys(args.seeds))
    if args.report and (args.again or args.data):
        parser.error('--report runs nothing and shows what is there: without --again and --data')
    if args.data and not args.configs:
        parser.error('--data measures the pipelines of CONFIG [CONFIG ...]: name at least one')
    if (args.videos or args.workers is not None) and not args.data:
        parser.error('--videos and --workers are options of --data')
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        parser.error(f'--device {args.device}: PyTorch sees no GPU')
    return args


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
        repeats=args.repeats,
    )


def systems() -> list[str]:
    """The configs that are compared by default."""
    found = {path for pattern in SYSTEMS for path in CONFIGS.glob(pattern)}
    found = {path for path in found if path.parts[-2] != 'quickstart'}
    return [str(path) for path in sorted(found)]


def in_own_process(job: Job) -> dict[str, float]:
    """The figures of one config, from a fresh process."""
    options = asdict(job.settings)
    flags = ['--compile'] if options.pop('compiled') else []
    flags += [f'--{key}={value}' for key, value in options.items() if value is not None]
    try:
        return figures_from_own_process(__file__, job.config, *flags, '--json')
    except ValueError as error:
        raise ValueError(f'{job.config}: {error}') from error


def of_one_state(job: Job) -> dict[str, float]:
    """The figures of one config, if nothing that it is made from changes meanwhile."""
    before = digest(job.config)
    figures = in_own_process(job)
    if digest(job.config) != before:
        raise ValueError(f'{job.config}: it, or a module of yours, changed while it was measured')
    return figures


def run_costs(costs: Costs, jobs: Sequence[Job], rounds: int) -> Iterator[str]:
    """Measure what is missing, all jobs of a round after one another; yields what failed."""
    for index in range(rounds):
        for number, job in enumerate(jobs, 1):
            if index in costs.rounds(job):
                continue
            print(f'round {index + 1}, {number} of {len(jobs)}: {job.name}', flush=True)
            try:
                costs.add(job, index, of_one_state(job))
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
                yield f'{config}: {last_error(str(error))}'


def forget(
    costs: Costs, jobs: Sequence[Job], configs: Sequence[str], seeds: list[int], folder: Path
) -> None:
    """Throw away the costs of ``jobs``, and the runs of ``configs`` and their towers."""
    for job in jobs:
        costs.forget(job)
    for config in configs:
        for seed in seeds:
            with suppress(ValueError):  # it has no toy form
                for plan in plan_system(config, seed, folder):
                    plan.forget()


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
        rounds = costs.rounds(Job(config, settings_of(args))).values()
        appetite = args.clips / statistics.median(x['step'] for x in rounds) if rounds else None
        print(report(config, found))
        print(f'  {verdict(found["loader"], appetite, one_process=found["one_process"])}')


def main() -> None:
    """Measure what is missing, and show what is there."""
    args = parse_args()
    settings, configs = settings_of(args), args.configs or systems()
    if args.json:
        print(json.dumps(measure(configs[0], settings)))
        return
    for config in configs:
        check_arguments(Config.fromfile(config))
    name, jobs = machine(args.device), with_references(configs, settings)
    folder = Path('work_dirs/benchmark', re.sub(r'[^\w.]+', '-', name).strip('-').lower())
    costs, runs = Costs(folder / 'cost.jsonl'), folder / 'moving_shapes'
    trained = list(dict.fromkeys(job.config for job in jobs)) if args.train else []
    failed: list[str] = []
    if args.again:
        forget(costs, jobs if args.rounds else [], trained, args.seeds, runs)
    if not args.report:
        failed += run_costs(costs, jobs, args.rounds)
        failed += run_training(trained, args.seeds, runs)
    if args.data:
        run_data(args.configs, costs, args)
    rows = rows_of(jobs, costs, args.seeds, runs, f'{name}, {settings}')
    print(f'\n{write(rows, args.out or folder)}')
    if failed:
        sys.exit('\n'.join(['failed:', *failed]))


if __name__ == '__main__':
    with one_line_errors():
        main()
