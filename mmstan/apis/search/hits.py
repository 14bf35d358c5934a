"""The result of a search."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hit:
    """A video that a search found.

    Attributes:
        name: Path of its file.
        score: Similarity to the query, by the model's interaction; higher is better.
        start: Where its segment begins, in seconds; None for a whole video.
        end: Where its segment ends, in seconds; None for a whole video.
        frame: Which of the frames that the model saw is nearest to the query, from 0; None where
            the index holds one feature a video.
    """

    name: str
    score: float
    start: float | None = None
    end: float | None = None
    frame: int | None = None

    def __str__(self) -> str:
        return self.name if self.start is None else f'{self.name} [{self.start:g}-{self.end:g} s]'
