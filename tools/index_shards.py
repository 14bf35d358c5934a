"""Index the samples of tar files, for ``mmstan.Shards``.

The index says where each video and caption lies. Headers alone are read: about 0.2 ms a sample and
process. Shards that are in the index already, unchanged in size and date, are not read again.

Example::

    python tools/index_shards.py 'data/webvid/{00000..10726}.tar' --workers 16
"""

from __future__ import annotations

import argparse
import os

import numpy as np

from mmstan.cli import one_line_errors
from mmstan.datasets.shards import find_shards, open_index
from mmstan.datasets.shards.index import INDEX_NAME


def main() -> None:
    """Read the arguments, write the index, and print the number of samples."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('urls', nargs='+', help='braces, folder, text file, or several of them')
    parser.add_argument('--index', help='file of the index; index.npz in the folder of the shards')
    parser.add_argument('--workers', type=int, default=1, help='processes that read headers')
    args = parser.parse_args()
    with one_line_errors():
        shards = find_shards(args.urls)
        path = args.index or os.path.join(os.path.dirname(shards[0].url), INDEX_NAME)
        index, places = open_index(shards, path, workers=args.workers)
    samples = int(np.diff(index.starts)[places].sum())
    print(f'{path}: {samples} samples in {len(shards)} shards')


if __name__ == '__main__':
    main()
