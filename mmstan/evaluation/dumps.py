"""Predictions that ``tools/test.py --dump`` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from mmstan.compat.closed import read_plain_pickle


def read_dump(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted classes of the videos in a dump, (videos,) each, in the test's order.

    The file is a pickle; no code in it runs.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no dump of a recognition test, or a video has several labels.
    """
    samples = read_plain_pickle(Path(path))
    if not isinstance(samples, list) or not samples:
        raise ValueError(f'{path}: a list of samples was expected, as tools/test.py --dump writes')
    pairs = [_read_sample(sample, f'{path}, sample {i}') for i, sample in enumerate(samples)]
    truth, predicted = np.array(pairs, dtype=np.int64).T
    return truth, predicted


def _read_sample(sample: object, place: str) -> tuple[int, int]:
    labels = []
    for key in ('gt_label', 'pred_label'):
        label = sample.get(key) if isinstance(sample, Mapping) else None
        if not isinstance(label, Tensor) or label.is_floating_point():
            raise ValueError(
                f'{place} has no {key}: dump a recognition test (tools/test.py --dump FILE)'
            )
        if label.numel() != 1 or int(label) < 0:
            raise ValueError(f'{place}: {key} is {label.tolist()}, one class was expected')
        labels.append(int(label))
    return labels[0], labels[1]
