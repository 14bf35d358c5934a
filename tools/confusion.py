"""Which classes are confused? ``python tools/confusion.py DUMP``.

DUMP is what ``tools/test.py CONFIG CHECKPOINT --dump DUMP`` wrote. Prints the pairs of classes that
are confused most often, and writes ``confusion.png`` and ``confusion.csv`` next to the dump.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.cli import at_least, one_line_errors
from mmstan.evaluation import read_dump
from mmstan.models.heads import read_class_names
from mmstan.visualization import (
    count_confusions,
    draw_confusions,
    list_confusions,
    write_confusions,
)
from mmstan.wording import markdown_table


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('dump', type=Path, help='predictions, as tools/test.py --dump writes them')
    parser.add_argument('--class-names', metavar='FILE', help='names in the place of numbers')
    parser.add_argument('--out', type=Path, help="folder; default: the dump's")
    parser.add_argument('--pairs', type=at_least(1), default=20, help='pairs to print; default: 20')
    return parser.parse_args()


def choose_names(file: str | None, classes: int) -> list[str]:
    """Names of at least ``classes`` classes: of a file, or their numbers.

    Raises:
        ValueError: The file has fewer names.
    """
    if file is None:
        return [str(number) for number in range(classes)]
    names = read_class_names(file)
    if len(names) < classes:
        raise ValueError(
            f'{file} names {len(names)} classes, and the dump has class {classes - 1}: give the '
            'class names of its test'
        )
    return names


def main() -> None:
    """Count, print, draw."""
    args = parse_args()
    with one_line_errors():
        truth, predicted = read_dump(args.dump)
        names = choose_names(args.class_names, int(max(truth.max(), predicted.max())) + 1)
        matrix = count_confusions(truth, predicted, len(names))
        rows = [
            [names[pair.truth], names[pair.predicted], pair.videos, f'{pair.share:.1f} %']
            for pair in list_confusions(matrix, args.pairs)
        ]
        print(markdown_table(['true', 'predicted', 'videos', 'of the class'], rows, align='llrr'))
        folder = args.out or args.dump.parent
        folder.mkdir(parents=True, exist_ok=True)
        draw_confusions(folder / 'confusion.png', matrix, names, title=args.dump.stem)
        write_confusions(folder / 'confusion.csv', matrix, names)
        print(f'{folder / "confusion.png"}, {folder / "confusion.csv"}: {len(truth)} videos')


if __name__ == '__main__':
    main()
