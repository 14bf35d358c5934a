"""Predictions and features as lines on the console and as files."""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmstan.apis.video_model import VideoModel
from mmstan.wording import count_things


@dataclass
class Table:
    """Rows of a csv file."""

    columns: list[str]
    rows: list[list[Any]]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file, whole or not at all."""
        part = Path(f'{os.fspath(path)}.part')
        # A name on disk may be of any bytes.
        with open(part, 'w', encoding='utf-8', errors='surrogateescape', newline='') as file:
            writer = csv.writer(file)
            writer.writerows([self.columns, *self.rows])
        part.replace(path)
        print(f'written: {path}, {count_things(len(self.rows), "row")}')


def add_table_options(parser: argparse.ArgumentParser) -> None:
    """Add the option to write a table."""
    parser.add_argument('--csv', metavar='FILE', help='write all that is printed to a table')


def print_classes(
    model: VideoModel,
    videos: Sequence[str],
    names: Sequence[str] | None,
    templates: Sequence[str] | None,
    top: int,
) -> Table:
    """Print the best classes of each video; broken videos are named and counted.

    Returns:
        Rows (video, rank, class, score, error).
    """
    table = Table(['video', 'rank', 'class', 'score', 'error'], [])
    found = model.classify(list(videos), names, templates=templates, top=top, on_error='skip')
    for video, scores in zip(videos, found):
        if scores.error is not None:
            table.rows.append([video, '', '', '', scores.error.reason])
        for rank, (name, value) in enumerate(zip(scores.names, scores.values), 1):
            table.rows.append([video, rank, name, f'{value:.6f}', ''])
        best = ', '.join(f'{name} {value:.3f}' for name, value in zip(scores.names, scores.values))
        print(f'{video}: {best or scores.error.reason}')  # type: ignore[union-attr]
    _report_broken(len(model.broken), len(videos), 'cannot be read')
    return table


def print_similarities(model: VideoModel, texts: Sequence[str], videos: Sequence[str]) -> Table:
    """Print the similarities of texts with each video; broken videos are named and counted.

    Returns:
        Rows (video, text, similarity, error).
    """
    table = Table(['video', 'text', 'similarity', 'error'], [])
    similarity = model.similarity(texts, list(videos), on_error='skip')
    reasons = dict(model.broken)
    for column, video in enumerate(videos):
        if not similarity[:, column].isfinite().all():
            reason = reasons.get(video, 'its similarities are not finite')
            table.rows.append([video, '', '', reason])
            print(f'{video}: {reason}')
            continue
        values = similarity[:, column].tolist()
        table.rows += [[video, text, f'{value:.6f}', ''] for text, value in zip(texts, values)]
        shown = ', '.join(f'{text!r} {value:.4f}' for text, value in zip(texts, values))
        print(f'{video}: {shown}')
    lost = int((~similarity.isfinite().all(dim=0)).sum())
    _report_broken(lost, len(videos), 'left out')
    return table


def _report_broken(broken: int, count: int, reason: str) -> None:
    if broken:
        print(f'{count_things(broken, "video")} of {count} {reason}, the reasons stand above')


def make_place(path: str | os.PathLike[str]) -> None:
    """Make the folder of a file that is written after the work.

    Raises:
        OSError: The folder cannot be made or written, or ``path`` is a folder itself.
    """
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    if Path(path).is_dir():
        raise IsADirectoryError(f'{path} is a folder; give the path of a file')
    if not os.access(folder, os.W_OK):
        raise PermissionError(f'{folder}: no file can be written there; give another folder')


def check_feature_file(path: Path, *, frames: bool) -> None:
    """Make the folder of a file of features, or raise an error if they cannot be written to it.

    Raises:
        ValueError: The suffix is neither ``.npz`` nor ``.parquet``, or frames go into a table.
        ImportError: ``.parquet`` needs pyarrow.
        OSError: As :func:`make_place` does.
    """
    if path.suffix not in ('.npz', '.parquet') or (frames and path.suffix != '.npz'):
        kinds = '.npz' if frames else '.npz or .parquet'
        raise ValueError(f'--out {path}: the name must end in {kinds}')
    if path.suffix == '.parquet':
        try:
            import pyarrow  # noqa: F401
        except ImportError as error:
            raise ImportError(f'--out {path} needs pyarrow: pip install pyarrow') from error
    make_place(path)


def write_features(path: Path, model: VideoModel, videos: Sequence[str], *, frames: bool) -> None:
    """Write the features of videos, whole or not at all.

    ``.npz`` has the arrays ``names`` (N), ``features`` (N, D) or (N, T, D), and with ``frames``
    ``mask`` (N, T); ``.parquet`` the columns ``name`` and ``feature``. Broken videos, and videos
    with features that are not finite, are named and left out.
    """
    found = model.embed(list(videos), frames=frames, on_error='skip')
    features = (found[0] if frames else found).numpy()
    good = np.isfinite(features.reshape(len(features), -1)).all(axis=1)
    broken = dict(model.broken)
    lost = [video for video, kept in zip(videos, good) if not kept]
    for video in lost:
        print(f'{video}: {broken.get(video, "its features are not finite")}')
    names = [video for video, kept in zip(videos, good) if kept]
    part = path.with_name(f'{path.name}.part')
    if path.suffix == '.npz':
        arrays = dict(names=np.array(names), features=features[good])
        if frames:
            arrays['mask'] = found[1].numpy()[good]
        with open(part, 'wb') as file:
            np.savez(file, **arrays)
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = [name.encode('utf-8', 'backslashreplace').decode() for name in names]
        pq.write_table(pa.table(dict(name=texts, feature=list(features[good]))), part)
    part.replace(path)
    print(f'written: {path}, {count_things(len(names), "video")}, {features.shape[1:]}')
    _report_broken(len(lost), len(videos), 'left out')
