"""Answers of the web demo: what a field's text and an upload become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmstan.apis.retrieval_pictures import read_tokens
from mmstan.apis.search import Hit, SearchIndex
from mmstan.apis.search.entries import Entry, read_segment
from mmstan.apis.video_model import VideoModel
from mmstan.datasets.readers import BrokenVideoError, open_video
from mmstan.methods.mug import Mug
from mmstan.models.features import VideoFeatures, l2_normalise
from mmstan.visualization import draw_comparison

MINUTES = 10  # of an upload
TOP = 5
_STRIP = 8  # frames of a film strip
_BLACK = (64, 64 * _STRIP, 3)


def split_lines(text: str) -> list[str]:
    """The texts of a field, one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def check_video(path: str | None) -> str:
    """The path of an upload.

    Raises:
        ValueError: There is none, or it is too long.
    """
    if not path:
        raise ValueError('Give a video.')
    with open_video(path) as video:
        minutes = video.num_frames / video.avg_fps / 60
    if minutes > MINUTES:
        raise ValueError(f'The video has {minutes:.1f} minutes; {MINUTES} are the most.')
    return path


def classify(model: VideoModel, path: str | None, names: str) -> tuple[dict[str, float], Any]:
    """Scores of the best classes, and the frames that the model sees."""
    path = check_video(path)
    scores = model.classify(path, split_lines(names) or None, top=TOP)
    return dict(zip(scores.names, scores.values)), list(model.frames(path))


def find(index: SearchIndex, text: str, example: str | None) -> list[Hit]:
    """The videos nearest to a text, or to a video if there is no text."""
    if text.strip():
        # A text that is the path of a file would be searched as this file.
        return index.search(index.model.embed_texts([text.strip()], tokens=True), TOP)
    return index.search(check_video(example), TOP)


def make_strip(model: VideoModel, hit: Hit) -> tuple[np.ndarray, str]:
    """A film strip of a video that was found, and the line below it.

    The strip of a video that cannot be read any more is black, and the line says why.
    """
    when = '' if hit.start is None else f', {hit.start:g}-{hit.end:g} s'
    line = f'{hit.score:.3f} {Path(hit.name).name}{when}'
    try:
        if hit.start is None:
            frames = model.frames(hit.name)
        else:
            frames = read_segment(Entry(hit.name, 0, 0, start=hit.start, end=hit.end), _STRIP)
    except BrokenVideoError as error:
        return np.zeros(_BLACK, np.uint8), f'{line}: {error.reason}'
    few = frames[np.linspace(0, len(frames) - 1, min(len(frames), _STRIP)).round().astype(int)]
    return np.concatenate(list(few), axis=1), line


def compare(model: VideoModel, path: str | None, texts: str) -> Any:
    """A figure of texts and frames: Mug's weights of frames and words, or cosines."""
    if not (lines := split_lines(texts)):
        raise ValueError('Write texts, one a line.')
    frames, mask = model.embed(check_video(path), frames=True)
    text, video = model.embed_texts(lines, tokens=True), VideoFeatures(frames, mask)
    values, words = l2_normalise(text.sentence) @ l2_normalise(frames[0]).T, []
    label = 'cosine of a text and a frame'
    retrieval = model.is_retrieval
    if isinstance(model.interaction, Mug) and retrieval:
        w, u = model.interaction.cpu().weights(text, video)
        values, label = u[:, 0], "Mug's weight of a frame by the text, u; of a word by the video, w"
        tower, length = model.model.text_tower, model.model.text_length
        names = [read_tokens(tower, line, length) for line in lines]
        words = [(x, w[i, 0, : len(x)].numpy()) for i, x in enumerate(names)]
    # The interaction reads these features; the head of a recognizer may read more.
    compared = model.similarity_of(text, video) if retrieval else model.similarity(lines, str(path))
    scores = compared[:, 0].tolist()
    shown = values[:, mask[0]].numpy()
    return draw_comparison(model.frames(str(path)), lines, shown, scores, words, label=label)
