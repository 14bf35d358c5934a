"""Write the names of the classes: ``python tools/data/class_names.py data/ucf101``.

Reads ``annotations/classInd.txt`` (lines such as ``1 ApplyEyeMakeup``), which UCF101 has and which
MMAction2 makes for HMDB51, and writes ``label_map.txt`` in the label order of MMAction2's lists.
X-CLIP's HMDB51 names are in the order of its own lists, which differs (kick and kick_ball swap).
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
