"""Encode the videos of an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from mmstan.apis.inputs import check_sampler
from mmstan.apis.search.entries import Entry, read_segment
from mmstan.datasets.readers import BrokenVideoError
from mmstan.methods.clip4clip import TightTransformer
from mmstan.methods.dist import FusedTextHead
from mmstan.methods.xclip import PromptedTextHead
from mmstan.models.features import VideoFeatures
from mmstan.models.interactions import Cosine
from mmstan.registry import MODELS

Broken = list[tuple[str, str]]
_SEGMENTS = 8  # whose frames are in memory at once
_FRAMES_TO_ASK = 64  # as many as a model may sample of a segment


class Block(NamedTuple):
    """Encoded videos."""

    entries: list[Entry]
    features: np.ndarray
    """(N, T, D), float32, not normalised; (N, 1, D) where a video is one feature."""
    mask: np.ndarray
    """True for real frames (N, T)."""
    broken: Broken
    """Name and reason of the videos that could not be read."""


def check_interaction(interaction: Any) -> None:
    """Raise ValueError unless the frames nearest to a sentence can stand for an interaction."""
    name = type(interaction).__name__
    if interaction.reads_video_tokens:
        raise ValueError(
            f'{name} reads every patch of a video, and an index holds frames: take a model whose '
            "interaction reads frames, such as mmstan.Mug with video='frames'"
        )
    if isinstance(interaction, TightTransformer):
        raise ValueError(
            f'{name} runs a transformer on every pair, and its scores are no cosines of frames, by '
            'which an index finds candidates: take a model with another interaction'
        )


def check_head(config: Mapping[str, Any]) -> None:
    """Raise ValueError unless a head compares texts with one feature of a video, or its frames.

    Args:
        config: Config of the head.
    """
    name = str(config['type'])
    cls = MODELS.get(name)
    if cls is not None and issubclass(cls, (FusedTextHead, PromptedTextHead)):
        raise ValueError(
            f'{name} compares more than one feature of a video with a text, and an index holds '
            'one: take a model with mmstan.TextHead, or a retrieval model'
        )
    if config.get('context_vectors'):
        raise ValueError(
            f'{name} with context_vectors={config["context_vectors"]} compares class names behind '
            'learned words, and a search has none: take a head without them, or a retrieval model'
        )


def _split(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Whole videos at once, which the model reads by itself; segments a few at a time."""
    size = _SEGMENTS if entries and entries[0].start is not None else max(1, len(entries))
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


class Encoder:
    """Encodes videos with a model, as an index stores them.

    Args:
        model: A :class:`~mmstan.VideoModel`.

    Raises:
        ValueError: The model's interaction or head cannot be searched.
    """

    def __init__(self, model: Any) -> None:
        check_interaction(model.interaction)
        if hasattr(getattr(model, 'model', None), 'cls_head'):  # a recognizer
            check_head(model.description.model['cls_head'])
        self.model = model
        self.pooled = isinstance(model.interaction, Cosine)
        self._segment_frames = 0

    def pool(self, video: VideoFeatures) -> VideoFeatures:
        """One feature a video (N, 1, D) for cosine models; for others the frames as they are."""
        if not self.pooled:
            return video
        mean = self.model.interaction.pool(video)[:, None]
        return VideoFeatures(mean, torch.ones(mean.shape[:2], dtype=torch.bool))

    def encode(self, entries: Sequence[Entry]) -> Block:
        """Encode videos; the ones that cannot be read are named in ``broken``."""
        parts = [self._encode(part) for part in _split(entries)]
        found = [(part.features, part.mask) for part in parts if part.entries]
        features, mask = map(np.concatenate, zip(*found)) if found else (np.empty(0), np.empty(0))
        kept = [entry for part in parts for entry in part.entries]
        return Block(kept, features, mask, [pair for part in parts for pair in part.broken])

    def _encode(self, entries: Sequence[Entry]) -> Block:
        readable, videos, broken = self._read(entries)
        nothing = Block([], np.empty(0), np.empty(0), broken)
        if not readable:
            return nothing
        try:
            frames, mask = self.model.embed_compared(videos, on_error='skip')
        except BrokenVideoError:  # all of them
            broken += self.model.broken
            return nothing
        broken += self.model.broken
        good = frames.isfinite().flatten(1).all(dim=1)
        named = {name for name, _ in broken}
        lost = [entry.path for entry, ok in zip(readable, good) if not ok]
        broken += [(path, 'its features are not finite') for path in lost if path not in named]
        kept = [entry for entry, ok in zip(readable, good) if ok]
        video = self.pool(VideoFeatures(frames[good], mask[good]))
        return Block(kept, video.frames.numpy(), video.mask.numpy(), broken)

    def _read(self, entries: Sequence[Entry]) -> tuple[list[Entry], list[Any], Broken]:
        """Paths of whole videos, and the frames of segments."""
        readable: list[Entry] = []
        videos: list[Any] = []
        broken: Broken = []
        for entry in entries:
            try:
                videos.append(entry.path if entry.start is None else self._read_segment(entry))
                readable.append(entry)
            except BrokenVideoError as error:
                broken.append((error.filename, error.reason))
        return readable, videos, broken

    def _read_segment(self, entry: Entry) -> np.ndarray:
        """As many frames of a segment as the model samples of a video."""
        if not self._segment_frames:
            check_sampler(self.model.reader)
            self._segment_frames = len(self.model.frames(read_segment(entry, _FRAMES_TO_ASK)))
        return read_segment(entry, self._segment_frames)
