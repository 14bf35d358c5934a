"""Speed of training pipelines: ``python tools/benchmarks/pipelines.py CONFIG [CONFIG ...]``.

Clips a second, decoded and through every transform, that a config's data loader gives on this
machine, with its workers and batches; and where the time of a clip goes in one process. Medians of
passes that follow one that is not counted. ``--videos FOLDER`` needs no annotations: the videos
anywhere in a folder take the place of the config's data.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

from mmengine.config import Config

from mmstan.benchmark.measure import describe_machine
from mmstan.benchmark.pipeline import measure_pipeline, report
from mmstan.cli import one_line_errors

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def main() -> None:
    """Print a table for each config."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config files')
    parser.add_argument('--videos', type=Path, help="a folder in the place of the configs' data")
    parser.add_argument('--workers', type=int, help="of the data loader; the config's")
    parser.add_argument('--clips', type=int, default=64, help='of a pass, at least')
    parser.add_argument('--repeats', type=int, default=3, help='passes; medians are printed')
    args = parser.parse_args()
    options = {key: value for key, value in vars(args).items() if key != 'configs'}
    warnings.filterwarnings('ignore', 'This DataLoader will create')  # the cores are printed
    with one_line_errors():
        print(f'{describe_machine()}, {_CORES} cores')
        for config in args.configs:
            figures = measure_pipeline(Config.fromfile(config), **options)
            print(report(config, figures), flush=True)


if __name__ == '__main__':
    main()
