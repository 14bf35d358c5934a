"""A digest of all samples of a data set, by which a resumed run knows whether they changed."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset

from mmstan.datasets.reliable import list_wrapped


def fingerprint(dataset: Any) -> str:
    """Compute 32 hexadecimal digits from all samples in order: files, labels, captions, ...

    File names count without the folder in ``data_prefix``, so that data may move. Wrappers of
    MMEngine and PyTorch are looked through; of other data sets only the length counts. A data set
    of millions of samples describes them itself, by a method ``digest_samples``.
    """
    digest = hashlib.sha256()
    _add(digest, dataset)
    return digest.hexdigest()[:32]


def _add(digest: Any, dataset: Any) -> None:
    digest.update(f'{type(dataset).__name__} {len(dataset)}\n'.encode())
    for part in list_wrapped(dataset):
        _add(digest, part)
    described = dataset.digest_samples() if hasattr(dataset, 'digest_samples') else None
    if described is not None:
        digest.update(described.encode())
        return
    if not isinstance(dataset, BaseDataset):
        return
    folders = tuple(f for f in dict(dataset.data_prefix or {}).values() if isinstance(f, str) and f)
    for index in range(len(dataset)):
        sample = dataset.get_data_info(index)
        sample.pop('origin', None)  # the annotations' place, for messages; they may move too
        for key, value in sample.items():
            if isinstance(value, str) and value.startswith(folders):
                # The longest of nested folders, so that the rest is the name relative to its own.
                folder = max((f for f in folders if value.startswith(f)), key=len)
                sample[key] = value[len(folder) :].lstrip('/')
        digest.update(json.dumps(sample, sort_keys=True, default=_describe).encode())


def _describe(value: Any) -> Any:
    """Describe an object that JSON has no form for: an array by its values, others by type."""
    arrays = np.ndarray, np.generic, torch.Tensor
    return value.tolist() if isinstance(value, arrays) else type(value).__name__
