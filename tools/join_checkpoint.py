"""Make one file of a sharded checkpoint: ``python tools/join_checkpoint.py FOLDER FILE``.

Training with ``mmstan.FullyShard(sharded=True)`` writes a checkpoint as a folder, each process its
part. The file has the whole state dict, as of any other run: for ``tools/test.py``, ``load_from``
and converters. It needs the memory of one whole model and its optimiser.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from mmstan.cli import one_line_errors
from mmstan.engine.shard_checkpoints import join_folder


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='the checkpoint, iter_N.pth or epoch_N.pth')
    parser.add_argument('file', type=Path, help='the file to write')
    return parser.parse_args()


def main() -> None:
    """Read the folder and write the file."""
    args = parse_args()
    with one_line_errors():
        checkpoint = join_folder(args.folder)
        args.file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, args.file)
        print(f'{args.file}: {len(checkpoint["state_dict"])} tensors')


if __name__ == '__main__':
    main()
