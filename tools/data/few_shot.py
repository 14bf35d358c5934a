"""Make K-shot training lists: ``python tools/data/few_shot.py LIST --shots 2 4 8 16 --seed 0``.

Each line of LIST is ``path label``. K videos of every class are chosen. The 2-shot list is part of
the 4-shot list, and so on. The same seed always makes the same choice.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmstan.datasets.few_shot import choose_few_shot
from mmstan.text_files import TextFile, split_lines


def main() -> None:
    """Read the command line and write one list for each number of shots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('list', type=Path, help='training list, one path and label per line')
    parser.add_argument('--shots', type=int, nargs='+', default=[2, 4, 8, 16])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, help='folder; default: few_shot next to the list')
    args = parser.parse_args()
    folder = args.out or args.list.parent / 'few_shot'
    try:
        lines = split_lines(TextFile('', str(args.list)).read_text())
        lists = {k: choose_few_shot(lines, k, seed=args.seed) for k in args.shots}  # all, or none
        folder.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        place = '' if str(error).startswith(str(args.list)) else f'{args.list}: '
        sys.exit(f'error: {place}{error}')
    for shots, chosen in lists.items():
        path = folder / f'{args.list.stem}_{shots}shot_seed{args.seed}.txt'
        path.write_text('\n'.join(chosen) + '\n', 'utf-8')
        print(f'{path}: {len(chosen)} videos, {len(chosen) // shots} classes')


if __name__ == '__main__':
    main()
