"""Print and draw the results of a retrieval model on its test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer

from mmstan.apis.search import SearchIndex
from mmstan.apis.test_set import TestSet
from mmstan.evaluation import text_to_video_ranks
from mmstan.methods.mug import Mug
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.visualization import (
    Hit,
    compare_own_frames,
    draw_misalignment,
    draw_mug_weights,
    draw_retrieved,
    format_misalignment,
    measure_alignment,
)

_FRAMES_SHOWN = 12


def show_found(data: TestSet, query: str, truth: int | None, top: int, path: Path) -> None:
    """Print and draw the best videos for a text, and the true one.

    Args:
        data: The encoded test set.
        query: The text.
        truth: Index of the true video, None if unknown.
        top: Number of videos to show.
        path: The picture's path, ``.png``.
    """
    with torch.no_grad():
        text = data.model.encode_texts([query])
    scores = torch.cat([block for _, block in data.scores(text)])[0].cpu()  # (B,)
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
    draw_retrieved(path, query, hits)


def show_hits(data: TestSet, index: SearchIndex, query: str, top: int, path: Path) -> None:
    """Print and draw the best videos for a text, by an index of the test set.

    Args:
        data: The encoded test set.
        index: Its index, see :func:`~mmstan.apis.search.test_sets.index_test_set`.
        query: The text.
        top: Number of videos to show.
        path: The picture's path, ``.png``.
    """
    text = index.model.embed_texts([query], tokens=True)  # a text, also if a file has this name
    found = [(int(hit.name), hit.score) for hit in index.search(text, top)]
    hits = []
    for rank, (video, score) in enumerate(found, start=1):
        frames = data.frames(video, most=_FRAMES_SHOWN)
        hits.append(Hit(frames, data.names[video], rank, score))
        print(f'{rank:>5}. {data.names[video]}  {score:.4f}')
    draw_retrieved(path, query, hits)


def show_pair(data: TestSet, index: int, path: Path) -> None:
    """Draw and print Mug's weights of a caption's words and its video's frames.

    Raises:
        ValueError: The model's interaction does not weigh words and frames.
    """
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
    # A batch of one caption and one video.
    text = TextFeatures(*(x[index : index + 1] for x in data.gallery.text))
    one = slice(video, video + 1)
    features = VideoFeatures(data.gallery.video.frames[one], data.gallery.video.mask[one])
    w, u = (x[0, 0].numpy() for x in interaction.weights(text, features))
    words = read_tokens(data.model.text_tower, caption, data.model.text_length)
    # Weights of padding are left out, of words and of frames.
    real = text.mask[0].numpy()
    score = float(interaction(text, features))
    title = f'{data.names[video]}, similarity {score:.3f}: {caption}'
    shown = u[features.mask[0].numpy()]
    draw_mug_weights(path, data.frames(video), shown, words, w[real], title=title)
    print(title)
    print('frames:', ' '.join(f'{weight:.3f}' for weight in shown))
    print('words: ', ' '.join(f'{a}={b:.3f}' for a, b in zip(words, w[real])))


def read_tokens(tower: Any, caption: str, length: int | None) -> list[str]:
    """The tokens of a caption as words, from the start token to the end token, both included."""
    ids = tower.tokenize([caption], length)[0]
    ids = ids[: int(ids.argmax()) + 1].tolist()  # the end token has the largest id
    tokenizer = SimpleTokenizer()
    words = [tokenizer.decode([token]).strip() for token in ids]
    return [*words, 'class token'] if tower.has_class_token else words


def report_misalignment(data: TestSet, path: Path, *, levels_from: TestSet | None = None) -> None:
    """Print and draw the shares of captions by level of alignment, and their R@1.

    Args:
        data: The encoded test set, which gives the ranks.
        path: The picture's path, ``.png``.
        levels_from: The same test set, encoded by the model that gives the levels, so that several
            models are compared on the same ones (Mug-STAN Table IX: CLIP-L/14); ``data`` itself by
            default.

    Raises:
        ValueError: The test sets have other captions or videos.
    """
    ranks = text_to_video_ranks(data.scores(data.gallery.text), data.gallery.owners)
    judge = data if levels_from is None else levels_from
    if levels_from is not None:
        ranks = ranks[match_captions(data, levels_from)]
    text, video, owners = judge.gallery
    own = compare_own_frames(text.sentence, video, owners)
    alignments = {
        'literally': measure_alignment(own, offset=0.0),
        'mean of mismatched pairs': measure_alignment(own, offset=own.mismatched),
    }
    draw_misalignment(path, own, alignments, ranks)
    first = 100 * (ranks <= 1).double().mean()
    print(f'{len(ranks)} captions, {len(video.mask)} videos, R@1 {first:.1f}')
    print(format_misalignment(alignments, ranks))


def match_captions(data: TestSet, other: TestSet, *, option: str = '--levels-from') -> torch.Tensor:
    """Place in ``data`` of each caption of ``other``, int64 (A,).

    Captions are the same if their texts and their videos' names are.

    Args:
        data: A test set.
        other: Another one.
        option: The option that names the model of one of them, for the message.

    Raises:
        ValueError: A test set has captions that the other one has not.
    """
    known, wanted = (
        [(x.names[owner], text) for text, owner in zip(x.captions, x.gallery.owners.tolist())]
        for x in (data, other)
    )
    if sorted(known) != sorted(wanted):
        alone = len(set(known) ^ set(wanted))
        raise ValueError(
            f'{option}: {len(wanted)} captions in place of {len(known)}, and {alone} are in '
            'one of the two test sets alone; take a config with the same test set'
        )
    places: dict[tuple[str, str], list[int]] = {}
    for place, key in enumerate(known):
        places.setdefault(key, []).append(place)  # a caption may stand there twice
    return torch.tensor([places[key].pop(0) for key in wanted])
