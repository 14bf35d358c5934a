"""Compare a model's precisions and ONNX Runtime: ``python tools/benchmarks/export.py``.

Frames to class scores, by PyTorch in float32 and in bfloat16 (``mmstan.load(dtype=...)``), and by
ONNX Runtime in float32 and with weights of 8 bits (``quantize_dynamic``). In each round every
variant sees the same clips, one variant after another, so that other work on the machine slows all
of them; the table shows medians, their ratio to float32, the smallest cosine of a feature with
float32's, and how often both choose the same class. ``--csv`` writes it. Without ``--weights`` they
are random: times are right, and the agreement is of features of an untrained model.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

import mmstan
from mmstan.apis.description import describe_config
from mmstan.apis.encoding import encode_videos, pool_videos, predict_classes
from mmstan.apis.export.parts import draw_clip
from mmstan.apis.video_model import VideoModel
from mmstan.benchmark.measure import describe_machine
from mmstan.cli import at_least, one_line_errors
from mmstan.config.paths import find_shipped
from mmstan.registry import MODELS
from mmstan.wording import markdown_table

COLUMNS = ['variant', 'seconds', 'ratio', 'cosine', 'same class', 'clips', 'MB']
Run = Callable[[Tensor], tuple[Tensor, Tensor]]


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--config', default='stan/k400_b16', help='name of a recognition config')
    parser.add_argument('--weights', help='checkpoint; random by default')
    parser.add_argument('--clips', type=at_least(1), default=1, help='clips of a round')
    parser.add_argument('--rounds', type=at_least(1), default=5)
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    parser.add_argument(
        '--clock',
        choices=['wall', 'processor'],
        default='wall',
        help="processor: all threads' time, in which other work on the machine does not count",
    )
    parser.add_argument('--no-onnx', action='store_true', help="PyTorch's variants only")
    parser.add_argument('--csv', type=Path, help='write the table to this file')
    return parser.parse_args()


def load_model(config: str, weights: str | None) -> VideoModel:
    """The model in float32; 16 classes where the config's list of names is not there."""
    names = [f'class {i}' for i in range(16)]
    if weights is not None:
        return mmstan.load(config, weights, device='cpu', dtype=torch.float32)
    cfg = Config.fromfile(find_shipped('configs') / f'{config}.py')
    init_default_scope('mmaction')
    cfg.model.cls_head.update(class_names=names, num_classes=None)
    description = describe_config(cfg, name=config)
    torch.manual_seed(0)
    return VideoModel(MODELS.build(description.model), description)


def make_run(model: VideoModel, dtype: torch.dtype = torch.float32) -> Run:
    """A function from raw clips (N, 3, T, H, W) to unit features (N, D) and scores (N, K)."""
    from mmaction.structures import ActionDataSample

    @torch.no_grad()
    def run(clips: Tensor) -> tuple[Tensor, Tensor]:
        samples = [ActionDataSample() for _ in clips]
        data = dict(inputs=list(clips[:, None]), data_samples=samples)
        with torch.autocast('cpu', dtype, enabled=dtype is not torch.float32):
            batch = model.model.data_preprocessor(data, False)
            features = encode_videos(model.model, batch)
            pooled = pool_videos(model.model, features, batch)
            return pooled.float(), predict_classes(model.model, features, batch).float()

    return run


def make_variants(model: VideoModel, folder: Path, *, onnx: bool) -> dict[str, tuple[Run, float]]:
    """Name of a variant -> its function, and megabytes of its file, 0 without one."""
    variants = {
        'PyTorch float32': (make_run(model), 0.0),
        'PyTorch bfloat16': (make_run(model, torch.bfloat16), 0.0),
    }
    if not onnx:
        return variants
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole, small = folder / 'model.onnx', folder / 'int8.onnx'
    model.export(whole, parts=('video', 'scores'))
    quantize_dynamic(whole, small, weight_type=QuantType.QInt8, per_channel=True)
    for name, file in (('ONNX Runtime float32', whole), ('ONNX Runtime int8', small)):
        variants[name] = make_run(mmstan.load(file)), file.stat().st_size / 2**20
    return variants


def measure(
    variants: dict[str, tuple[Run, float]], clips: list[Tensor], clock: Callable[[], float]
) -> list[list[Any]]:
    """Rows of the table; a first, untimed call warms each variant up."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in variants}
    for run, _ in variants.values():
        run(clips[0])
    for batch in clips:
        for name, (run, _) in variants.items():
            start = clock()
            found[name].append(run(batch))
            seconds[name].append(clock() - start)
    first = next(iter(variants))
    base = statistics.median(seconds[first])
    rows = []
    for name, (_, size) in variants.items():
        (x, scores), (right, wanted) = (map(torch.cat, zip(*found[key])) for key in (name, first))
        same = (scores.argmax(dim=1) == wanted.argmax(dim=1)).float().mean().item()
        cosine = F.cosine_similarity(x, right, dim=1).min().item()
        median = statistics.median(seconds[name])
        row = [name, f'{median:.2f}', f'{base / median:.2f}', f'{cosine:.5f}', f'{same:.0%}']
        rows.append([*row, len(x), f'{size:.0f}' if size else ''])
    return rows


def main() -> None:
    """Measure, print and write."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    model = load_model(args.config, args.weights)
    shape = draw_clip(model, 1).frames.shape[1:]
    rng = np.random.default_rng(0)
    clips = [
        torch.from_numpy(rng.integers(0, 256, (args.clips, *shape), dtype=np.uint8))
        for _ in range(args.rounds)
    ]
    with tempfile.TemporaryDirectory() as folder:
        variants = make_variants(model, Path(folder), onnx=not args.no_onnx)
        clock = time.perf_counter if args.clock == 'wall' else time.process_time
        rows = measure(variants, clips, clock)
    weights = 'random weights' if args.weights is None else 'trained weights'
    machine = f'{describe_machine()}, {args.threads} threads, {args.clock} clock'
    print(f'{args.config}, {weights}, {args.clips} clip(s) {tuple(shape)} a round; {machine}')
    print(markdown_table(COLUMNS, rows, align='lrrrrrr'))
    if args.csv is not None:
        command = shlex.join(['python', 'tools/benchmarks/export.py', *sys.argv[1:]])
        extra = [args.config, weights, args.rounds, machine, command]
        with open(args.csv, 'w', encoding='utf-8', newline='') as file:
            head = [*COLUMNS, 'config', 'weights', 'rounds', 'machine', 'command']
            csv.writer(file).writerows([head, *([*row, *extra] for row in rows)])


if __name__ == '__main__':
    with one_line_errors():
        main()
