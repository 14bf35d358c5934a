"""Convert released checkpoints, or back: ``python tools/convert_checkpoint.py stan IN OUT``.

``llava_v1 FOLDER OUT_FOLDER`` converts a dialogue model in LLaVA v1's own format.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

import mmstan.methods  # noqa: F401  (every method registers its checkpoints)
from mmstan.apis.sources import find_text_prefix, package_state
from mmstan.cli import one_line_errors
from mmstan.compat.closed import read_file
from mmstan.compat.state_dicts import find_state_dict
from mmstan.converters import CONVERTERS
from mmstan.converters.llava_v1 import convert_folder
from mmstan.converters.systems import Convert

LLAVA = 'llava_v1'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Convert released checkpoints')
    parser.add_argument('system', choices=sorted([*CONVERTERS, LLAVA]))
    parser.add_argument(
        'source', type=Path, help='.pth, .pt, .bin, .bin.N or .safetensors; a folder (llava_v1)'
    )
    parser.add_argument(
        'target', type=Path, help='.pth or .safetensors, or a folder (--package, llava_v1)'
    )
    parser.add_argument(
        '--vision',
        help="CLIP of llava_v1: a name or a folder; default: its config's mm_vision_tower",
    )
    parser.add_argument(
        '--reverse', action='store_true', help="from mmstan's names to the released ones"
    )
    parser.add_argument(
        '--text-tower',
        help="prefix of the text tower in mmstan's model: 'text_tower.' (retrieval) or "
        "'cls_head.texts.tower.' (recognition); default: the system's most common task",
    )
    parser.add_argument(
        '--parts', nargs='+', help='convert only these parts, where the system has a choice (xclip)'
    )
    parser.add_argument(
        '--package', action='store_true', help='make TARGET a folder that mmstan.load reads'
    )
    parser.add_argument('--config', help='of the package: a config, or the name of one')
    parser.add_argument('--class-names', help="of the package: a file in the place of the config's")
    args = parser.parse_args()
    if args.package != bool(args.config) or (args.package and args.reverse):
        parser.error('--package --config CONFIG go together, and not with --reverse')
    others = ('reverse', 'text_tower', 'parts', 'package', 'config', 'class_names')
    unread = others if args.system == LLAVA else ('vision',)
    for name in unread:
        if getattr(args, name):
            parser.error(f'{args.system} has no --{name.replace("_", "-")}: leave it out')
    if args.class_names and not args.package:
        parser.error('--class-names is an option of --package')
    return args


def convert_file(path: Path, convert: Convert, **options: Any) -> dict[str, Tensor]:
    """Convert the state dict of a checkpoint; code in the file is never run."""
    content = read_file(path)
    try:
        return convert(find_state_dict(content, str(path)), **options)
    except ValueError:
        # A file of several state dicts, such as ActionCLIP's, is for the converter to take apart.
        with suppress(Exception):
            return convert(content, **options)
        raise


def write(state: dict[str, Tensor], path: Path) -> None:
    """Write a checkpoint under a temporary name, then rename it: ``path`` is never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'{path.name}.tmp')
    if path.suffix == '.safetensors':
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, unfinished)
    else:
        torch.save({'state_dict': state}, unfinished)
    unfinished.replace(path)


def main() -> None:
    """Convert."""
    args = parse_args()
    if args.system == LLAVA:
        with one_line_errors():
            count = convert_folder(args.source, args.target, vision=args.vision)
        print(f'{count} tensors of the language model -> {args.target}')
        return
    converter = CONVERTERS[args.system]
    convert = converter.to_released if args.reverse else converter.from_released
    options = dict(text_tower=args.text_tower, parts=args.parts)
    takes = inspect.signature(convert).parameters
    if args.package and args.text_tower is None and 'text_tower' in takes:
        with one_line_errors():
            options['text_tower'] = find_text_prefix(args.config)
    options = {name: value for name, value in options.items() if value is not None}
    other = sorted(set(options) - set(takes))
    if other:
        sys.exit(f'error: {args.system} has no choice of {", ".join(other)}')
    try:
        state = convert_file(args.source, convert, **options)
        if args.package:
            names = args.class_names
            package_state(
                args.config, state, args.target, source=str(args.source), class_names=names
            )
        else:
            write(state, args.target)
    except (ValueError, OSError) as error:
        text = str(error)
        sys.exit(f'error: {text if str(args.source) in text else f"{args.source}: {text}"}')
    except Exception as error:  # a value that is no tensor makes any step of a map fail
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        sys.exit(f"error: {args.source} is no checkpoint of '{args.system}' ({reason})")
    print(f'{len(state)} tensors -> {args.target}')


if __name__ == '__main__':
    main()
