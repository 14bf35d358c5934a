"""Train and test on real video files, in minutes on two cores: ``python tools/quickstart.py``.

Renders Moving Shapes. Then, with ``tools/train.py`` and ``tools/test.py``, trains and tests CLIP
mean pooling and STAN on recognition (same tower, data and epochs), and STAN on text-to-video
retrieval. Writes tables and pictures to ``work_dirs/quickstart``. Finished steps are not repeated.
"""

from __future__ import annotations

import argparse

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.quickstart import OUT, run_recognition, run_retrieval


def main() -> None:
    """Render, train, test; print the tables."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    tables = [
        'Moving Shapes: eight classes, four motions and the same played backwards\n'
        + run_recognition(),
        'Moving Shapes: 320 captions and their videos\n' + run_retrieval(),
    ]
    (OUT / 'table.txt').write_text('\n\n'.join(tables) + '\n')
    print('', *tables, sep='\n\n')
    print(f'\nPictures: {OUT / "recognition.png"}, {OUT / "retrieval.png"}')


if __name__ == '__main__':
    main()
