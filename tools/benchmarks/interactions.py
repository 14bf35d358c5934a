"""Measure time and memory of interactions: ``python tools/benchmarks/interactions.py``.

First the similarities of many texts and videos, as in an evaluation; then forward and backward of
a training batch. The features are random and not counted in the memory. The interactions take
turns within each round; the tables show medians.
"""

from __future__ import annotations

import argparse
import statistics

import torch

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.measure import describe_machine, measure_peak_memory, measure_seconds
from mmstan.cli import at_least, one_line_errors
from mmstan.methods.drl import TokenWise, WeightedTokenWise
from mmstan.methods.mug import Mug
from mmstan.models import Cosine
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions import Interaction


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--pairs', type=at_least(1), default=1000, help='texts, and videos, in the test'
    )
    parser.add_argument('--tokens', type=at_least(1), default=32)
    parser.add_argument('--frames', type=at_least(1), default=12)
    parser.add_argument(
        '--batch', type=at_least(1), default=128, help='texts, and videos, in training'
    )
    parser.add_argument('--train-tokens', type=at_least(1), default=64)
    parser.add_argument('--train-frames', type=at_least(1), default=64)
    parser.add_argument('--dim', type=at_least(1), default=512)
    parser.add_argument('--repeats', type=at_least(1), default=3)
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    return parser.parse_args()


def interactions(dim: int) -> dict[str, Interaction]:
    """Name -> interaction to measure, for features with ``dim`` channels."""
    return {
        'cosine': Cosine(),
        'Mug': Mug(),
        'Mug, simple': Mug(form='simple'),
        'Mug, compiled': Mug(compiled=True),
        'token-wise': TokenWise(),
        'weighted token-wise': WeightedTokenWise(dim, layers=1),
    }


def features(
    pairs: int, tokens: int, frames: int, dim: int, *, train: bool
) -> tuple[TextFeatures, VideoFeatures]:
    """Random features: texts of 2 to ``tokens`` real tokens, and videos of ``frames`` frames."""
    words = torch.randn(pairs, tokens, dim, requires_grad=train)
    mask = torch.arange(tokens) < torch.randint(2, tokens + 1, (pairs, 1))
    video = torch.randn(pairs, frames, dim, requires_grad=train)
    text = TextFeatures(words, words[:, 0], mask)
    return text, VideoFeatures(video, torch.ones(pairs, frames, dtype=torch.bool))


def table(args: argparse.Namespace, *, train: bool) -> str:
    """A text table: seconds and GB of each interaction."""
    pairs, tokens, frames = args.pairs, args.tokens, args.frames
    if train:
        pairs, tokens, frames = args.batch, args.train_tokens, args.train_frames
    text, video = features(pairs, tokens, frames, args.dim, train=train)

    def run(interaction: Interaction) -> None:
        if train:
            interaction(text, video).logsumexp(dim=1).sum().backward()
        else:
            with torch.no_grad():
                interaction(text, video)

    measured = interactions(args.dim)
    for interaction in measured.values():
        run(interaction)  # the first call compiles
    times: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(args.repeats):
        for name, interaction in measured.items():
            times[name].append(measure_seconds(lambda interaction=interaction: run(interaction)))
    # GB of all token-frame similarities in float32, if they existed at once.
    whole = 4 * pairs * pairs * tokens * frames / 1e9
    title = 'forward and backward' if train else 'forward'
    lines = [
        f'{title}, {pairs} texts x {pairs} videos, J={tokens}, T={frames}, D={args.dim}; '
        f'(A, B, J, T) as a whole would be {whole:.2f} GB',
        f'{"":22}{"time":>9}{"memory":>11}',
    ]
    for name, interaction in measured.items():
        memory = measure_peak_memory(lambda interaction=interaction: run(interaction)) / 1e9
        lines.append(f'{name:22}{statistics.median(times[name]):>7.2f} s{memory:>8.2f} GB')
    return '\n'.join(lines)


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f'{describe_machine()}, {args.threads} threads, fp32')
    print(table(args, train=False))
    print(table(args, train=True))


if __name__ == '__main__':
    with one_line_errors():
        main()
