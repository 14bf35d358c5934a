"""See what a retrieval model does on its test set: ``python tools/retrieve.py CONFIG CHECKPOINT``.

* ``--query "a red circle moves up"``, or ``--index 7`` for a caption of the test set: the videos
  found, as film strips with their scores.
* ``--pair 7``: the weights that Mug gives to the words of a caption and the frames of its video.
* ``--misalignment``: how much of the videos the captions are about, and R@1 by that.

Pictures go to the work dir, or to ``--out``. Numbers of captions are those of the test set's order.
The features of the test set are kept in the work dir (``features.pth``) for the next query.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from open_clip.tokenizer import SimpleTokenizer

from mmstan.apis.test_set import TestSet
from mmstan.cli import command, merge_test_options, one_line_errors, parse
from mmstan.evaluation import text_to_video_ranks
from mmstan.methods.mug import Mug
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.visualization import (
    Hit,
    alignment,
    misalignment_report,
    misalignment_table,
    mug_weights,
    own_frames,
    retrieval_strips,
)

_FRAMES_SHOWN = 12


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command(__doc__, checkpoint=True, launcher=False)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--query', help='find videos for this text')
    what.add_argument('--index', type=int, help='find videos for this caption')
    what.add_argument('--pair', type=int, help="Mug's weights for this caption and its video")
    what.add_argument('--misalignment', action='store_true', help='report on all captions')
    parser.add_argument('--top', type=int, default=5, help='how many videos to show')
    parser.add_argument('--out', type=Path, help='the picture, .png')
    parser.add_argument('--no-cache', action='store_true', help='encode the test set anew')
    return parse(parser)


def find(data: TestSet, query: str, truth: int | None, top: int, path: Path) -> None:
    """Print and draw the best videos, and the true one."""
    with torch.no_grad():
        text = data.model.encode_texts([query])
    scores = torch.cat([block for _, block in data.scores(text)])[0].cpu()
    order = scores.argsort(descending=True, stable=True).tolist()
    chosen = order[:top]
    if truth is not None and truth not in chosen:
        chosen = [*chosen, truth]
    hits = []
    for video in chosen:
        frames = data.frames(video, most=_FRAMES_SHOWN)
        rank, score = order.index(video) + 1, float(scores[video])
        hits.append(Hit(frames, data.names[video], rank, score, truth=video == truth))
        marked = '  ground truth' if video == truth else ''
        print(f'{rank:>5}. {data.names[video]}  {score:.4f}{marked}')
    retrieval_strips(path, query, hits)


def show_pair(data: TestSet, index: int, path: Path) -> None:
    """Draw Mug's weights of a caption and its video."""
    caption, video = data.caption(index)
    interaction = data.model.head.interaction
    if not isinstance(interaction, Mug) or (interaction.text, interaction.video) != (
        'tokens',
        'frames',
    ):
        raise ValueError(
            f'--pair {index}: {type(interaction).__name__} does not weigh words and frames; take a '
            "config with the interaction 'mmstan.Mug' of tokens and frames"
        )
    text = TextFeatures(*(x[index : index + 1] for x in data.gallery.text))
    one = slice(video, video + 1)
    features = VideoFeatures(data.gallery.video.frames[one], data.gallery.video.mask[one])
    w, u = (x[0, 0].numpy() for x in interaction.weights(text, features))
    words = read_tokens(data.model.text_tower, caption, data.model.text_length)
    real = text.mask[0].numpy()
    score = float(interaction(text, features))
    title = f'{data.names[video]}, similarity {score:.3f}: {caption}'
    shown = u[features.mask[0].numpy()]
    mug_weights(path, data.frames(video), shown, words, w[real], title=title)
    print(title)
    print('frames:', ' '.join(f'{weight:.3f}' for weight in shown))
    print('words: ', ' '.join(f'{a}={b:.3f}' for a, b in zip(words, w[real])))


def read_tokens(tower: Any, caption: str, length: int | None) -> list[str]:
    """The tokens of a caption as they can be read, from its start to its end of text."""
    ids = tower.tokenize([caption], length)[0]
    ids = ids[: int(ids.argmax()) + 1].tolist()
    tokenizer = SimpleTokenizer()
    words = [tokenizer.decode([token]).strip() for token in ids]
    return [*words, 'class token'] if tower.has_class_token else words


def report_misalignment(data: TestSet, path: Path) -> None:
    """Print and draw how many captions are about how much of their videos."""
    text, video, owners = data.gallery
    ranks = text_to_video_ranks(data.scores(text), owners)
    own = own_frames(text.sentence, video, owners)
    alignments = {
        'literally': alignment(own, offset=0.0),
        'mean of mismatched pairs': alignment(own, offset=own.mismatched),
    }
    misalignment_report(path, own, alignments, ranks)
    first = 100 * (ranks <= 1).double().mean()
    print(f'{len(ranks)} captions, {len(video.mask)} videos, R@1 {first:.1f}')
    print(misalignment_table(alignments, ranks))


def main() -> None:
    """Encode the test set and show what is asked for."""
    args = parse_args()
    with one_line_errors():
        cfg = merge_test_options(Config.fromfile(args.config), args)
        data = TestSet(cfg, cache=not args.no_cache)
        if args.misalignment:
            path = args.out or Path(cfg.work_dir, 'misalignment.png')
            report_misalignment(data, path)
        elif args.pair is not None:
            path = args.out or Path(cfg.work_dir, f'pair_{args.pair}.png')
            show_pair(data, args.pair, path)
        else:
            path = args.out or Path(cfg.work_dir, 'retrieved.png')
            given = (args.query, None) if args.index is None else data.caption(args.index)
            find(data, *given, args.top, path)
    print(f'Picture: {path}')


if __name__ == '__main__':
    main()
