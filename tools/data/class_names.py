"""Write the names of the classes: ``python tools/data/class_names.py data/ucf101``.

``label_map.txt`` is made from ``annotations/classInd.txt`` (``1 ApplyEyeMakeup``) of UCF101, or of
HMDB51, for which MMAction2 makes one, and so has the order of the labels in MMAction2's lists.
X-CLIP's names of HMDB51 have that of its own lists (kick and kick ball change places, for one).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmstan.models.heads.class_names import class_index_names
from mmstan.text_files import TextFile


def main() -> None:
    """Read the command line and write the names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data_root', type=Path, help='folder of the data set')
    args = parser.parse_args()
    source, out = args.data_root / 'annotations/classInd.txt', args.data_root / 'label_map.txt'
    try:
        lines = TextFile('', str(source)).read_lines()
        names = class_index_names([line.text for line in lines])
        out.write_text('\n'.join(names) + '\n', 'utf-8')
    except (ValueError, OSError) as error:
        place = '' if str(error).startswith(str(source)) else f'{source}: '
        sys.exit(f'error: {place}{error}')
    print(f'{out}: {len(names)} classes, {names[0]} to {names[-1]}')


if __name__ == '__main__':
    main()
