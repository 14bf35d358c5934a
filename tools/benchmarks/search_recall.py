"""The share of a model's best videos among an index's candidates.

``python tools/benchmarks/search_recall.py CONFIG CHECKPOINT``: which of the ten best videos by Mug
and by the token-wise interaction, over all videos, are among 400 candidates; on the config's own
videos, and on a gallery in which a third of a video's frames is its own and the rest is of two
others. For models trained on Moving Shapes (``tools/benchmarks/moving_shapes.py misaligned``).
Figures go into a csv file.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from mmstan.apis.search import SearchIndex
from mmstan.apis.test_set import TestSet
from mmstan.benchmark.figures import Figure, format_figures, write_figures
from mmstan.benchmark.measure import describe_machine
from mmstan.cli import existing_checkpoint, one_line_errors
from mmstan.engine.retrieval_loops import make_training_bank
from mmstan.methods.drl import TokenWise
from mmstan.methods.mug import Mug
from mmstan.models.features import TextFeatures, VideoFeatures, l2_normalise
from mmstan.models.interactions import Interaction

TOP, CANDIDATES = 10, 400


class _InteractionAlone:
    """The part of ``VideoModel`` that a search for the features of a text asks for."""

    def __init__(self, interaction: Interaction) -> None:
        self.interaction = self.similarity_of = interaction


def measure_misaligned(config: str, checkpoint: str, clips: int) -> Iterator[Figure]:
    """A trained model on its own videos, and on a gallery of mixed ones."""
    parts, model, captions = [], None, []
    for split in ('test', 'train'):
        cfg = Config.fromfile(config)
        cfg.load_from, cfg.launcher = checkpoint, 'none'
        cfg.work_dir = str(Path(checkpoint).parent / f'search_{split}')
        cfg.experiment_name = f'search_{split}'
        if split == 'train':
            cfg.test_dataloader = make_training_bank(cfg)
        data = TestSet(cfg)
        parts.append(data.gallery)
        model, captions = data.model, captions or data.captions
    # All words, also where the model's own interaction reads the sentence alone.
    tower, length = model.text_tower, model.text_length  # type: ignore[union-attr]
    with torch.no_grad():
        text = tower(tower.tokenize(captions, length))
    name = Path(config).stem
    frames = torch.cat([gallery.video.frames for gallery in parts])
    interaction: Any = model.head.interaction  # type: ignore[union-attr]
    sharpness = 100.0 if not isinstance(interaction, Mug) else interaction.sharpness
    compared: dict[str, Interaction] = {
        f'Mug of tau {tau:g}': Mug(sharpness=tau) for tau in sorted({10.0, sharpness})
    }
    compared['token-wise'] = TokenWise()
    for kind, by in compared.items():
        yield from compare_stages(f'{name}, its videos, {kind}', by, text, frames)
        yield from compare_stages(f'{name}, mixed, {kind}', by, text, mix_videos(frames, clips))


def mix_videos(frames: Tensor, clips: int) -> Tensor:
    """Clips whose first third is a video's own frames, the rest of two others; (clips, T, D)."""
    generator = torch.Generator().manual_seed(0)
    third = frames.shape[1] // 3
    own = torch.arange(clips) % len(frames)
    pieces = []
    for part in range(3):
        video = own if part == 0 else torch.randint(len(frames), (clips,), generator=generator)
        # Three different thirds of the three videos, so that no place in time is favoured.
        pieces.append(frames[video, part::3][:, :third])
    return torch.cat(pieces, dim=1)


def compare_stages(
    row: str, interaction: Interaction, text: TextFeatures, frames: Tensor
) -> Iterator[Figure]:
    """Shares of the best videos among the candidates of the index, and of simpler ways.

    The sentence finds videos by their best frame, the mean of frames by one vector a video.
    """
    video = VideoFeatures(frames, torch.ones(frames.shape[:2], dtype=torch.bool))
    model = _InteractionAlone(interaction)
    names = [str(i) for i in range(len(frames))]
    index = SearchIndex.of_features(model, names, video.frames, video.mask)
    mean = l2_normalise(l2_normalise(frames).mean(dim=1))
    with torch.no_grad():
        best = interaction(text, video).topk(TOP).indices.numpy()
    unit, most = l2_normalise(frames), min(CANDIDATES, len(frames))
    by_index, by_sentence, by_mean = [], [], []
    for i in range(len(text.mask)):
        one = TextFeatures(*(x[i : i + 1] for x in text))
        by_index.append(np.array([int(hit.name) for hit in index.search(one, top=CANDIDATES)]))
        sentence = l2_normalise(one.sentence)[0]
        by_sentence.append((unit @ sentence).amax(dim=1).topk(most).indices.numpy())
        by_mean.append((mean @ sentence).topk(most).indices.numpy())
    row = f'{row}, {len(frames)} clips'
    for name, found in (
        ('index', by_index),
        ('sentence', by_sentence),
        ('mean of frames', by_mean),
    ):
        yield row, f'{name}: top 1 in {CANDIDATES}', count_kept(best[:, :1], found), '%'
        yield row, f'{name}: top {TOP} in {CANDIDATES}', count_kept(best, found), '%'


def count_kept(truth: np.ndarray, found: list[np.ndarray]) -> float:
    """Per cent of true rows that were found."""
    return 100 * float(np.mean([np.isin(x, y).mean() for x, y in zip(truth, found)]))


def main() -> None:
    """Measure, write the figures, and print their table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint', type=existing_checkpoint)
    parser.add_argument('--clips', type=int, default=12_000, help='clips of the mixed gallery')
    parser.add_argument('--csv', type=Path, default=Path('docs/benchmark/search.csv'))
    args = parser.parse_args()
    with one_line_errors():
        figures = list(measure_misaligned(args.config, args.checkpoint, args.clips))
        command = shlex.join(['python', 'tools/benchmarks/search_recall.py', *sys.argv[1:]])
        write_figures(args.csv, 'recall', figures, machine=describe_machine(), command=command)
        print(format_figures(args.csv, 'recall'))


if __name__ == '__main__':
    main()
