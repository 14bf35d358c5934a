"""Released checkpoints -> ours, and back: ``python tools/convert_checkpoint.py stan IN OUT``."""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file as load_safetensors
from safetensors.torch import save_file as save_safetensors
from torch import Tensor

import mmstan.methods  # noqa: F401  (every method registers its checkpoints)
from mmstan.compat.checkpoints import load_file
from mmstan.converters import CONVERTERS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Convert released checkpoints')
    parser.add_argument('system', choices=sorted(CONVERTERS))
    parser.add_argument('source', type=Path, help='.pth, .pt, .bin, .bin.N or .safetensors')
    parser.add_argument('target', type=Path, help='.pth or .safetensors')
    parser.add_argument('--reverse', action='store_true', help='from ours to the released names')
    parser.add_argument(
        '--text-tower',
        help="where our model keeps its text tower: 'text_tower.' (retrieval) or "
        "'cls_head.texts.tower.' (recognition); by default what the system is mostly used for",
    )
    parser.add_argument(
        '--parts', nargs='+', help='convert only these parts, where the system has a choice (xclip)'
    )
    return parser.parse_args()


def read(path: Path) -> dict[str, Tensor]:
    """The state dict of a checkpoint; code in it is never run."""
    if path.suffix == '.safetensors':
        return load_safetensors(path)
    checkpoint = load_file(str(path))
    return dict(checkpoint.get('state_dict', checkpoint))


def main() -> None:
    """Convert."""
    args = parse_args()
    converter = CONVERTERS[args.system]
    convert = converter.to_released if args.reverse else converter.from_released
    options = dict(text_tower=args.text_tower, parts=args.parts)
    options = {name: value for name, value in options.items() if value is not None}
    other = sorted(set(options) - set(inspect.signature(convert).parameters))
    if other:
        sys.exit(f'error: {args.system} has no choice of {", ".join(other)}')
    try:
        state = convert(read(args.source), **options)
    except (ValueError, OSError) as error:
        sys.exit(f'error: {args.source}: {error}')
    args.target.parent.mkdir(parents=True, exist_ok=True)
    if args.target.suffix == '.safetensors':
        save_safetensors({name: tensor.contiguous() for name, tensor in state.items()}, args.target)
    else:
        torch.save({'state_dict': state}, args.target)
    print(f'{len(state)} tensors -> {args.target}')


if __name__ == '__main__':
    main()
