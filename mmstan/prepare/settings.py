"""What a user asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmstan.prepare.encode import Encoding


@dataclass(frozen=True)
class Settings:
    """What a user asks for.

    Attributes:
        source: A folder or a table.
        out: The folder of lists and config.
        split: Shares of training, validation and test; None for 0.8, 0.1, 0.1.
        group: Regular expression; videos of one group stay in one split.
        seed: Of the split.
        classes: A file of class names, in label order; None for all, sorted.
        keep_names: Leave names as they are.
        encode: How to encode videos again; None for not at all.
        jobs: Videos at a time.
        config: The config to copy; None for one of STAN.
        strict: Whether a video that cannot be used is an error.
    """

    source: Path
    out: Path
    split: Sequence[float] | None = None
    group: str | None = None
    seed: int = 0
    classes: Path | None = None
    keep_names: bool = False
    encode: Encoding | None = None
    jobs: int = 2
    config: str | None = None
    strict: bool = False
