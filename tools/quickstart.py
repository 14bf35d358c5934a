"""Train and test on real video files, in minutes on two cores: ``python tools/quickstart.py``.

Renders Moving Shapes. Then, with ``tools/train.py`` and ``tools/test.py``, trains and tests CLIP
mean pooling and STAN on recognition (same tower, data and epochs), and STAN on text-to-video
retrieval. Writes tables and pictures to ``work_dirs/quickstart``. Finished steps are not repeated.

``python tools/quickstart.py detection --seed 0 1 2`` does so with action detection, with each seed.
"""

from __future__ import annotations

import argparse

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.detection_quickstart import run_detection
from mmstan.benchmark.quickstart import OUT, run_recognition, run_retrieval


def main() -> None:
    """Render, train, test; print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('task', nargs='?', choices=['detection'], help='action detection alone')
    parser.add_argument(
        '--seed', type=int, nargs='+', default=[0], help='of detection, one or several; default: 0'
    )
    args = parser.parse_args()
    if args.task == 'detection':
        show_detection(args.seed)
        return
    tables = [
        'Moving Shapes: eight classes, four motions and the same played backwards\n'
        + run_recognition(),
        'Moving Shapes: 320 captions and their videos\n' + run_retrieval(),
    ]
    (OUT / 'table.txt').write_text('\n\n'.join(tables) + '\n')
    print('', *tables, sep='\n\n')
    print(f'\nPictures: {OUT / "recognition.png"}, {OUT / "retrieval.png"}')


def show_detection(seeds: list[int]) -> None:
    """Render, train, test action detection; print the table."""
    table = run_detection(seeds)
    (OUT / 'detection.md').write_text(table + '\n')
    print('', 'Moving Shapes: mAP of motions, colours and all, in per cent', table, sep='\n\n')
    print(f'\nPicture: {OUT / "detection.png"}')


if __name__ == '__main__':
    main()
