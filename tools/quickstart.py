"""Train and test on real video files, in minutes on two cores: ``python tools/quickstart.py``.

Renders Moving Shapes. Then, with ``tools/train.py`` and ``tools/test.py``, trains and tests CLIP
mean pooling and STAN on recognition (same tower, data and epochs), and STAN on text-to-video
retrieval. Writes tables and pictures to ``work_dirs/quickstart``. Finished steps are not repeated.

``python tools/quickstart.py detection --seed 0 1 2`` does so with action detection, with each seed.

``python tools/quickstart.py pretraining`` prepares shards, post-pretrains four systems on them and
tests zero-shot; ``--docs`` puts the table into docs/pretraining.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.detection_quickstart import run_detection
from mmstan.benchmark.figures import format_figures, write_figures
from mmstan.benchmark.measure import describe_machine
from mmstan.benchmark.model_zoo import put_between
from mmstan.benchmark.pretraining import OUT as PRETRAINING
from mmstan.benchmark.pretraining import run_pretraining
from mmstan.benchmark.quickstart import OUT, run_recognition, run_retrieval
from mmstan.cli import one_line_errors

DOCS = Path(__file__).parents[1] / 'docs'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'task', nargs='?', choices=['detection', 'pretraining'], help='one of these alone'
    )
    parser.add_argument(
        '--seed', type=int, nargs='+', help='of detection, one or several; default: 0'
    )
    parser.add_argument(
        '--docs', action='store_true', help='of pretraining: write the table into the docs too'
    )
    args = parser.parse_args()
    if args.seed is not None and args.task != 'detection':
        parser.error('--seed is an option of detection: python tools/quickstart.py detection')
    if args.docs and args.task != 'pretraining':
        parser.error('--docs is an option of pretraining: python tools/quickstart.py pretraining')
    return args


def main() -> None:
    """Render, train, test; print the tables."""
    args = parse_args()
    if args.task == 'pretraining':
        show_pretraining(docs=args.docs)
        return
    if args.task == 'detection':
        show_detection(args.seed or [0])
        return
    tables = [
        'Moving Shapes: eight classes, four motions and the same played backwards\n'
        + run_recognition(),
        'Moving Shapes: 320 captions and their videos\n' + run_retrieval(),
    ]
    (OUT / 'table.txt').write_text('\n\n'.join(tables) + '\n')
    print('', *tables, sep='\n\n')
    print(f'\nPictures: {OUT / "recognition.png"}, {OUT / "retrieval.png"}')


def show_pretraining(*, docs: bool) -> None:
    """Prepare, train, test post-pretraining; print the table."""
    figures = run_pretraining()
    files = [PRETRAINING / 'figures.csv', *([DOCS / 'benchmark/pretraining.csv'] if docs else [])]
    for path in files:
        write_figures(
            path, 'pretraining', figures, machine=describe_machine(), command='make pretraining'
        )
    table = format_figures(files[-1], 'pretraining')
    if docs:
        page = DOCS / 'pretraining.md'
        page.write_text(put_between(page, table, '<!-- of the csv -->'), 'utf-8')
    print('', 'Moving Shapes: zero-shot before and after post-pretraining', table, sep='\n\n')


def show_detection(seeds: list[int]) -> None:
    """Render, train, test action detection; print the table."""
    table = run_detection(seeds)
    (OUT / 'detection.md').write_text(table + '\n')
    print('', 'Moving Shapes: mAP of motions, colours and all, in per cent', table, sep='\n\n')
    print(f'\nPicture: {OUT / "detection.png"}')


if __name__ == '__main__':
    with one_line_errors():
        main()
