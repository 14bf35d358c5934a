"""A model that costs nothing: features are drawn from the number that a file holds."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmstan.datasets.readers import BrokenVideoError
from mmstan.methods.mug import Mug
from mmstan.models.features import TextFeatures, VideoFeatures, l2_normalise
from mmstan.models.interactions import Interaction

FRAMES, DIM, TOKENS = 4, 16, 5


class FakeModel:
    """The calls of ``VideoModel`` that an index makes."""

    def __init__(self, interaction: Interaction | None = None, identity: str = 'a' * 64) -> None:
        self.interaction = interaction or Mug(sharpness=10.0)
        self.identity, self.dtype = identity, torch.float32
        self.broken: list[tuple[str, str]] = []
        self.encoded: list[str] = []
        """Every video that was encoded."""
        self.padding = 0
        transforms = [SimpleNamespace(sampler=SimpleNamespace())]
        self.reader = SimpleNamespace(pipeline=SimpleNamespace(transforms=transforms))

    def embed_compared(self, videos: Any, *, on_error: str = 'raise') -> tuple[Tensor, Tensor]:
        self.broken = []
        rows = [self._embed(video, on_error) for video in videos]
        if all(row.isnan().all() for row in rows):
            raise BrokenVideoError(*self.broken[0])
        mask = torch.arange(FRAMES).expand(len(rows), -1) < FRAMES - self.padding
        return torch.stack(rows), mask

    def _embed(self, video: Any, on_error: str) -> Tensor:
        if isinstance(video, np.ndarray):
            return draw(int(video.sum()) % 1000)
        self.encoded.append(str(video))
        text = Path(video).read_text()
        if not text.isdigit():
            if on_error == 'raise':
                raise BrokenVideoError(str(video), 'is no number')
            self.broken.append((str(video), 'is no number'))
            return torch.full((FRAMES, DIM), torch.nan)
        return draw(int(text))

    def embed_texts(self, texts: list[str], *, tokens: bool) -> TextFeatures:
        """The text 'frame 7 2' is frame 2 of video 7, a text of one word; others are random."""
        (text,) = texts
        if text.startswith('frame'):
            video, frame = map(int, text.split()[1:])
            x = draw(video)[None, frame, None]
        else:
            x = draw(sum(map(ord, text)), TOKENS)[None]
        return TextFeatures(x, x[:, -1], torch.ones(x.shape[:2], dtype=torch.bool))

    def similarity_of(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        return self.interaction(text, video)


def draw(seed: int, rows: int = FRAMES) -> Tensor:
    """Features that are not normalised, with a common direction as CLIP's have."""
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, DIM, generator=generator) + 1


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def videos(tmp_path: Path) -> Callable[..., Path]:
    """``videos(30)``: a folder with videos 0 to 29; called again it adds and changes."""
    folder = tmp_path / 'videos'
    folder.mkdir()

    def make(count: int, *, start: int = 0) -> Path:
        for number in range(start, count):
            (folder / f'{number:04}.mp4').write_text(str(number))
        return folder

    return make


def exact(model: FakeModel, query: str, numbers: list[int]) -> dict[str, float]:
    """Name -> score of every video, computed here."""
    text = model.embed_texts([query], tokens=True)
    frames = torch.stack([draw(number) for number in numbers])
    scores = model.interaction(text, VideoFeatures(frames, torch.ones(frames.shape[:2]) > 0))[0]
    return {f'{number:04}.mp4': float(score) for number, score in zip(numbers, scores)}


def best(scores: dict[str, float], top: int) -> list[str]:
    return sorted(scores, key=lambda name: -scores[name])[:top]


def names(hits: Any) -> list[str]:
    return [Path(hit.name).name for hit in hits]


def unit(x: Tensor) -> Tensor:
    return l2_normalise(x)
