"""How the frames of an index are searched: the kinds, and faiss's indices behind them.

======== ==================================================== ============ =====================
kind     index                                                exact        bytes a frame, D = 512
======== ==================================================== ============ =====================
brute    none: the stored features, by torch                  yes          0
fp16     every frame in half precision, memory-mapped         to half's    1,032
int8     every frame in 8 bits a value, memory-mapped         nearly       520
pq4      4 bits for every 4 values (product quantisation)     no           72
ivfpq    lists of near frames, 64 bytes a frame, 64 read      no           72
hnsw     a graph of neighbours; keeps removed videos inside   no           2,320
======== ==================================================== ============ =====================

Whatever the kind, the candidates are scored again from the stored features. ``auto`` is ``fp16`` up
to :data:`EXACT_FRAMES` frames and ``pq4`` above; without faiss it is ``brute``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmstan.wording import check_choice

Kind = Literal['auto', 'brute', 'fp16', 'int8', 'pq4', 'ivfpq', 'hnsw']
KINDS = ('auto', 'brute', 'fp16', 'int8', 'pq4', 'ivfpq', 'hnsw')
EXACT_FRAMES = 100_000
"""Up to so many frames ``auto`` searches every one."""
BRUTE_CLIPS = 200_000
"""Up to so many videos are searched without faiss."""
AGAIN = 'copy the folder again, or build the index again'
LEAST_FRAMES = dict(pq4=624, ivfpq=9_984)  # 39 frames a centroid, below which k-means warns
_PROBES = 64  # lists of ivfpq, or neighbours of hnsw, that a query reads


def has_faiss() -> bool:
    """Whether faiss can be imported."""
    try:
        import faiss  # noqa: F401
    except ImportError:
        return False
    return True


def require_faiss(reason: str) -> Any:
    """The module faiss.

    Raises:
        ImportError: It is not installed; the message names the extra and the reason.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            f'{reason} needs faiss: pip install "mmstan[search]" (faiss-cpu)'
        ) from error
    return faiss


def choose_kind(kind: str, *, frames: int, clips: int) -> str:
    """The kind that ``kind`` stands for, for a number of frames and videos.

    Raises:
        ValueError: There is no such kind, or it needs more frames.
        ImportError: It needs faiss, and faiss is not installed.
    """
    check_choice('kind', kind, KINDS)
    if kind == 'auto':
        by_size = 'fp16' if frames <= EXACT_FRAMES else 'pq4'
        kind = by_size if has_faiss() else 'brute'
    if kind == 'brute':
        check_brute_force(clips)
        return kind
    require_faiss(f'kind={kind!r}')
    if frames < LEAST_FRAMES.get(kind, 1):
        raise ValueError(
            f'kind={kind!r} needs {LEAST_FRAMES.get(kind, 1)} frames, and there are {frames}: '
            "take 'fp16', which is exact"
        )
    return kind


def check_brute_force(clips: int) -> None:
    """Raise ImportError if there are too many videos to be searched without faiss."""
    if clips > BRUTE_CLIPS:
        require_faiss(f'a search of {clips} videos, more than {BRUTE_CLIPS},')
        raise ImportError(
            f"kind='brute' is for {BRUTE_CLIPS} videos, and there are {clips}: take kind='auto'"
        )


def make_index(kind: str, sample: np.ndarray, frames: int) -> Any:
    """An empty index of faiss.

    Args:
        kind: One of ``KINDS`` but ``'auto'`` and ``'brute'``.
        sample: Unit frames to train it on (S, D), float32.
        frames: How many frames it will hold.
    """
    faiss = require_faiss(f'kind={kind!r}')
    dim = sample.shape[1]
    # 64 parts of a vector, or the most below that which it divides into.
    parts = next(m for m in range(min(64, dim), 0, -1) if dim % m == 0)
    step = next(s for s in (4, 2, 1) if dim % s == 0)
    lists = max(1, min(int(4 * frames**0.5), len(sample) // 39))
    factory = dict(
        fp16='SQfp16',
        int8='SQ8',
        pq4=f'PQ{dim // step}x4fs',
        ivfpq=f'IVF{lists},PQ{parts}np',  # np: leaves out a step of minutes that only filters need
        hnsw='HNSW32',
    )[kind]
    index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        index.train(sample)
    return _set_effort(index if kind == 'ivfpq' else faiss.IndexIDMap(index), kind)


def _set_effort(index: Any, kind: str) -> Any:
    import faiss

    if kind == 'ivfpq':
        index.nprobe = min(_PROBES, index.nlist)
    if kind == 'hnsw':
        graph: Any = faiss.downcast_index(index.index)
        graph.hnsw.efSearch = _PROBES
    return index


def remove_ids(index: Any, ids: np.ndarray, kind: str) -> None:
    """Remove frames; an hnsw index cannot, and whoever searches it skips them."""
    if kind != 'hnsw':
        index.remove_ids(ids)


def write_index(index: Any, path: Path) -> None:
    """Write an index of faiss to a file."""
    require_faiss(str(path)).write_index(index, str(path))


def read_index(path: Path, kind: str, *, dim: int, writable: bool = False) -> Any:
    """Read an index of faiss, memory-mapped where its kind allows.

    faiss's reader checks sizes and ranges, but it is C++ and made for files of faiss. So the caller
    checks size and SHA-256 first, memory is bounded by the file's size, and class and width must be
    the kind's.

    Args:
        path: The file.
        kind: Its kind.
        dim: D, width of the vectors.
        writable: Read all into memory, so that frames can be added and removed.

    Raises:
        ValueError: It holds another index, or faiss cannot read it.
    """
    faiss = require_faiss(str(path))
    flags = 0 if writable else faiss.IO_FLAG_MMAP_IFC
    try:
        with _limit_vectors(faiss, max(16 * path.stat().st_size, 1 << 28)):
            index = faiss.read_index(str(path), flags)
    except RuntimeError as error:
        reason = ' '.join(str(error).split()).rpartition('Error: ')[2][:200]
        raise ValueError(f'{path}: faiss cannot read it ({reason}); {AGAIN}') from error
    inner = index if kind == 'ivfpq' else faiss.downcast_index(getattr(index, 'index', index))
    wanted = dict(
        fp16=faiss.IndexScalarQuantizer,
        int8=faiss.IndexScalarQuantizer,
        pq4=faiss.IndexPQFastScan,
        ivfpq=faiss.IndexIVFPQ,
        hnsw=faiss.IndexHNSWFlat,
    )[kind]
    right = all(x.d == dim and x.metric_type == faiss.METRIC_INNER_PRODUCT for x in (index, inner))
    if not isinstance(inner, wanted) or not right:
        raise ValueError(
            f'{path}: it is a {type(inner).__name__} of width {index.d}, expected a '
            f'{wanted.__name__} of width {dim} for inner products; {AGAIN}'
        )
    return _set_effort(index, kind)


@contextmanager
def _limit_vectors(faiss: Any, size: int) -> Iterator[None]:
    """Within, no vector or table that faiss makes while it reads may have more bytes."""
    before = faiss.get_deserialization_vector_byte_limit()
    faiss.set_deserialization_vector_byte_limit(size)
    try:
        yield
    finally:
        faiss.set_deserialization_vector_byte_limit(before)
