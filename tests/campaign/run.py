"""Damaged and hostile files, saved models and kills: ``python tests/campaign/run.py [KIND ...]``.

Not a part of ``make test``: 1,000 files a kind take about ten minutes. Each kind prints one line of
figures; the exit status is 1 unless nothing was unclear, wrong or crashed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # campaign, helpers

KINDS = ('videos', 'annotations', 'weights', 'packages', 'kills')
"""Modules beside this one; each has ``run(count, seed, folder)``, which yields :class:`Figures`."""


def main() -> None:
    """Run the kinds that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('kinds', nargs='*', metavar='KIND', help=f'of {", ".join(KINDS)}; all')
    parser.add_argument('--count', type=int, default=1000, help='files a kind')
    parser.add_argument('--seed', type=int, default=0, help='of the mutations')
    parser.add_argument('--show', type=int, default=10, help='problems that are shown for a kind')
    args = parser.parse_args()
    if unknown := set(args.kinds) - set(KINDS):
        parser.error(f'{sorted(unknown)} are none of {KINDS}')
    holds = True
    for kind in args.kinds or KINDS:
        module = importlib.import_module(f'campaign.{kind}')
        with tempfile.TemporaryDirectory() as folder:
            for figures in module.run(args.count, args.seed, Path(folder)):
                print(figures, flush=True)
                holds &= figures.holds
                for problem in figures.problems[: args.show]:
                    print(f'    {problem}')
    sys.exit(not holds)


if __name__ == '__main__':
    main()
