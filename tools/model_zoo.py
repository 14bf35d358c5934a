"""The tables of all models, from the metafiles: ``python tools/model_zoo.py``.

They are in ``configs/<method>/README.md`` and ``docs/model_zoo.md``.

A new config: write it, run ``--figures``, add what its paper reports to the metafile under
``Reported``, run without options.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.model_figures import add_figures
from mmstan.benchmark.model_zoo import render_pages
from mmstan.cli import one_line_errors

ROOT = Path(__file__).parents[1]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        '--check', action='store_true', help='write nothing; fail where a page is out of date'
    )
    what.add_argument(
        '--figures',
        nargs='*',
        metavar='PATTERN',
        help='count frames, multiply-adds and parameters first: of configs that have none yet, and '
        "of those named, such as 'configs/stan/*.py'",
    )
    return parser.parse_args()


def main() -> None:
    """Write the tables, or compare them."""
    args = parse_args()
    with one_line_errors():
        if args.figures is not None:
            add_figures(ROOT, args.figures)
        texts = render_pages(ROOT)
        changed = [path for path, text in texts.items() if path.read_text('utf-8') != text]
        names = ', '.join(str(path.relative_to(ROOT)) for path in changed)
        if args.check:
            sys.exit(f'out of date: {names}; run python tools/model_zoo.py' if changed else 0)
        for path in changed:
            path.write_text(texts[path], 'utf-8')
        print(f'written: {names}' if changed else 'nothing has changed')


if __name__ == '__main__':
    main()
