"""MMEngine's checkpoints, loaded without unpickling arbitrary code."""

import pickle
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch.hub import load_state_dict_from_url
from torch.serialization import get_safe_globals, safe_globals

SafeGlobal = Callable | tuple[Callable, str]
# The part of torch.load's many lines that says what it refused.
_REFUSED = re.compile(r'(?<=GLOBAL )\S+|(?<=WeightsUnpickler error: )(?!.*GLOBAL).+')


def history_buffer_method(owner: type, name: str) -> Callable:
    """Answer for ``builtins.getattr`` in a checkpoint: HistoryBuffer's four statistics."""
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'WeightsUnpickler error: getattr({owner!r}, {name!r})')


def runner_globals() -> Iterable[SafeGlobal]:
    """List what MMEngine's Runner writes beside tensors: HistoryBuffers, made of numpy numbers.

    Files written with NumPy 1 name ``numpy.core``, those with NumPy 2 ``numpy._core``; both load
    with either.
    """
    reconstruct: Any = np.zeros(1).__reduce__()[0]
    make_scalar: Any = np.float64(0).__reduce__()[0]
    for core in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        yield reconstruct, f'{core}._reconstruct'
        yield make_scalar, f'{core}.scalar'
    yield from (np.ndarray, np.dtype, HistoryBuffer)
    yield history_buffer_method, 'builtins.getattr'
    yield from {type(np.dtype(code)) for code in '?bBhHiIlLqQefd'}


def load_file(path: str | Path, *, map_location: Any = None) -> Any:
    """Load a checkpoint that holds tensors, plain values and what Runner writes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is cut off, or names anything else, which unpickling would run. Nothing
            of it has run then.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    with _safely(path):
        return torch.load(path, map_location=map_location, weights_only=True)


def checkpoints_of_runner() -> bool:
    """MMEngine 0.10.7 cannot load its own checkpoints on PyTorch 2.6 or newer (mmengine#1655).

    ``torch.load`` has become ``weights_only=True``, which refuses the HistoryBuffers that Runner
    writes. What comes from a URL goes through ``torch.hub``, which still unpickles anything, and
    upstream's mend (PR #1670, unreleased) does so for files as well. Here both load what Runner
    writes and nothing else; ``open-mmlab://``, ``torchvision://`` and ``mmcls://`` end in a URL.
    """
    from mmengine.runner import checkpoint

    if checkpoint.load_url is load_url:
        return False
    checkpoint.load_url = load_url
    register = checkpoint.CheckpointLoader.register_scheme
    register('', load_from_local, force=True)
    register([r'(\S+\:)?s3://', r'(\S+\:)?petrel://'], load_from_ceph, force=True)
    return True


# MMEngine logs what follows `load_from_` in these names, and calls them (name, map_location).
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a local file, see :func:`load_file`."""
    return load_file(filename, map_location=map_location)


def load_from_ceph(filename: str, map_location: Any = None) -> Any:
    """Load from object storage as MMEngine does, letting through what Runner writes."""
    from mmengine.runner import checkpoint

    with _safely(filename):
        return checkpoint.load_from_ceph(filename, map_location)


def load_url(url: str, *args: Any, **kwargs: Any) -> Any:
    """Load from a URL as ``torch.hub`` does, letting through what Runner writes and no more."""
    with _safely(url):
        return load_state_dict_from_url(url, *args, **{**kwargs, 'weights_only': True})


@contextmanager
def _safely(source: str | Path) -> Iterator[None]:
    """Let through what Runner writes; what is refused becomes one line that names its source."""
    # What the user allowed for the whole process stays allowed afterwards.
    already = get_safe_globals()
    try:
        with safe_globals([item for item in runner_globals() if item not in already]):
            yield
    except pickle.UnpicklingError as error:
        found = _REFUSED.search(str(error))
        raise ValueError(
            f'checkpoint {source} is refused for {found.group() if found else type(error)}: only '
            "tensors, plain values and MMEngine's logs are loaded, since anything else could run "
            'code; ask its author for the state dict alone'
        ) from None
    except (EOFError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and 'PytorchStreamReader' not in str(error):
            raise
        raise ValueError(
            f'checkpoint {source} is cut off or not a checkpoint: fetch or write it again'
        ) from None
