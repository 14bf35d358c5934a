"""The command ``mmstan``: use a model without writing code.

``mmstan predict stan/k400_b16 --weights stan.pth clip.mp4`` prints the classes of a video;
``mmstan --help`` lists the other commands.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmstan.apis.search import command as index
from mmstan.cli import at_least, one_line_errors
from mmstan.prepare import command as prepare


class Command(NamedTuple):
    """A sub-command: its purpose, its options, and the function that runs it."""

    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the model and how it runs."""
    parser.add_argument(
        'model', help='saved model (folder, .safetensors), config, name of one, or hf://OWNER/NAME'
    )
    parser.add_argument('--weights', help="of a config: a checkpoint, or 'pretrained'")
    parser.add_argument('--class-names', metavar='FILE', help="in the place of the config's")
    parser.add_argument('--device', default='auto', help='cuda, mps or cpu; default: the fastest')
    parser.add_argument(
        '--dtype',
        choices=['float32', 'bfloat16', 'float16'],
        help='default: bfloat16 on CUDA, else float32',
    )
    parser.add_argument(
        '--views', choices=['1', 'test'], default='1', help='centre of a video, or all test views'
    )
    parser.add_argument('--batch-size', type=at_least(1), default=8)
    parser.add_argument('--workers', type=at_least(0), default=2, help='threads that read videos')


def load_model(args: argparse.Namespace) -> Any:
    """Load the model that the options name."""
    import torch

    import mmstan

    model = mmstan.load(
        args.model,
        args.weights,
        class_names=args.class_names,
        device=args.device,
        dtype=None if args.dtype is None else getattr(torch, args.dtype),
        views='test' if args.views == 'test' else 1,
        batch_size=args.batch_size,
        workers=args.workers,
    )
    print(f'model: {model.description.name}, {model.description.task}, {model.device}')
    return model


def list_inputs(videos: Sequence[str]) -> list[str]:
    """Videos of a command line; a folder of videos stands for all of them, in sorted order."""
    from mmstan.datasets.video_files import VIDEO_EXTENSIONS
    from mmstan.datasets.visible_files import is_hidden

    found: list[str] = []
    for video in videos:
        folder = Path(video)
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        known = VIDEO_EXTENSIONS - {'', 'null'}
        inside = [path for path in inside if path.suffix.lower()[1:] in known]
        inside = [path for path in inside if not is_hidden(path.name)]
        found += [str(path) for path in inside] or [video]
    return found


def _predict_options(parser: argparse.ArgumentParser) -> None:
    from mmstan.apis.tables import add_table_options

    add_model_options(parser)
    parser.add_argument('videos', nargs='+', help='videos, folders of videos or images, addresses')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--classes', metavar='FILE', help='other class names than the model has')
    what.add_argument('--texts', nargs='+', help='compare with these texts')
    parser.add_argument('--templates', nargs='+', help="sentences for names: 'a video of {}'")
    parser.add_argument('--top', type=at_least(1), help='classes a video; default: 5')
    add_table_options(parser)


def _predict(args: argparse.Namespace) -> None:
    from mmstan.apis.tables import make_place, print_classes, print_similarities
    from mmstan.models.heads import read_class_names

    if args.texts and args.templates:
        raise ValueError('--templates are for class names, and --texts are compared as they are')
    if args.texts and args.top is not None:
        raise ValueError(f'--top {args.top} is of classes, and all --texts are printed')
    if args.csv:
        make_place(args.csv)
    names = None if args.classes is None else read_class_names(args.classes)
    model, videos = load_model(args), list_inputs(args.videos)
    if args.texts:
        rows = print_similarities(model, args.texts, videos)
    else:
        rows = print_classes(model, videos, names, args.templates, args.top or 5)
    if args.csv:
        rows.write(args.csv)


def _embed_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument('videos', nargs='+', help='videos, folders of videos or images, addresses')
    parser.add_argument('--out', required=True, type=Path, help='.npz or .parquet')
    parser.add_argument('--frames', action='store_true', help='a feature a frame (.npz)')


def _embed(args: argparse.Namespace) -> None:
    from mmstan.apis.tables import check_feature_file, write_features

    check_feature_file(args.out, frames=args.frames)
    model, videos = load_model(args), list_inputs(args.videos)
    write_features(args.out, model, videos, frames=args.frames)


def _package_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='config, or name of one')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('--out', required=True, type=Path, help='new folder')
    parser.add_argument('--class-names', metavar='FILE', help="in the place of the config's")
    parser.add_argument('--push', metavar='OWNER/NAME', help='upload it to the Hugging Face hub')
    parser.add_argument('--public', action='store_true', help='a new repository is not private')


def _package(args: argparse.Namespace) -> None:
    import mmstan

    if args.public and not args.push:
        raise ValueError('--public is of the upload: give --push OWNER/NAME, too')
    model = mmstan.load(args.config, args.checkpoint, class_names=args.class_names, device='cpu')
    model.save(args.out)
    print(f"saved: {args.out}; mmstan.load('{args.out}') reads it")
    if args.push:
        from mmstan.apis.hub import push_package

        print(f'uploaded: {push_package(args.out, args.push, private=not args.public)}')


def _export_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument(
        '--out', required=True, type=Path, help='NAME.onnx, or NAME.pt2 of torch.export'
    )
    parser.add_argument(
        '--parts',
        nargs='+',
        choices=['video', 'text', 'scores'],
        default=['video', 'text', 'scores'],
        help='default: all that the model has',
    )
    parser.add_argument('--fixed-batch', action='store_true', help='one video and one text a call')
    parser.add_argument('--opset', type=int, help='version of ONNX operators; default: 20')
    parser.add_argument('--no-check', action='store_true', help='do not compare with the model')


def _export(args: argparse.Namespace) -> None:
    to_torch = args.out.suffix == '.pt2'
    if to_torch and args.opset is not None:
        raise ValueError(
            f'--opset {args.opset} is of ONNX, and --out {args.out} is of torch.export'
        )
    files = load_model(args).export(
        args.out,
        format='torch' if to_torch else 'onnx',
        parts=args.parts,
        dynamic=() if args.fixed_batch else ('batch',),
        opset=20 if args.opset is None else args.opset,
        check=not args.no_check,
    )
    for part, file in files.items():
        print(f'written: {file}, {part}, {file.stat().st_size / 2**20:.1f} MB')


def _demo_options(parser: argparse.ArgumentParser) -> None:
    add_model_options(parser)
    parser.add_argument('--index', metavar='FOLDER', help='videos to search (mmstan index build)')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen at')
    parser.add_argument('--port', type=int, help='default: the first free one from 7860 on')


def _demo(args: argparse.Namespace) -> None:
    import mmstan
    from mmstan import demo

    demo.import_gradio()
    model = load_model(args)
    index = None if args.index is None else mmstan.SearchIndex.open(args.index, model)
    demo.launch(model, index, host=args.host, port=args.port)


def _doctor(args: argparse.Namespace) -> None:
    from mmstan import doctor

    sys.exit(doctor.main())


COMMANDS = {
    'predict': Command(
        'classes of videos, or their similarity to texts', _predict_options, _predict
    ),
    'embed': Command('features of videos into a file', _embed_options, _embed),
    'prepare': Command('own videos to lists and a config', prepare.add_options, prepare.run),
    'index': Command('search videos by text or example', index.add_options, index.run),
    'package': Command('config and checkpoint as a folder to share', _package_options, _package),
    'export': Command('model as ONNX or torch.export files', _export_options, _export),
    'demo': Command('a web page of a model: classify, search, compare', _demo_options, _demo),
    'doctor': Command('installed packages, fixes and conflicts', lambda parser: None, _doctor),
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of all sub-commands."""
    parser = argparse.ArgumentParser(
        prog='mmstan', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, command in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=command.help,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_options(sub)
        sub.description = sub.description or command.help
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sub-command that the command line names."""
    from mmstan.engine.console import keep_console_short

    args = make_parser().parse_args(arguments)
    with one_line_errors(), keep_console_short():
        COMMANDS[args.command].run(args)
