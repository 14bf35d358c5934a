"""MMEngine's checkpoints: loading one runs no code, and a misfit is an error."""

import hashlib
import io
import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.hub import download_url_to_file, get_dir

from mmstan.compat.closed import read_bytes, read_file
from mmstan.compat.new_parts import find_new_parts
from mmstan.compat.state_dicts import (
    find_state_dict,
    fit_state,
    is_ours,
    refuse_foreign_wrapping,
    unwrap_model,
)
from mmstan.wording import write_on_one_line

load_file = read_file


class Checkpoint(dict):
    """A checkpoint that knows the name of its file.

    Args:
        content: Contents of the file.
        source: Name of the file.

    Raises:
        ValueError: ``content`` is no dict.
    """

    def __init__(self, content: Any, source: str) -> None:
        if not isinstance(content, Mapping):
            raise ValueError(
                f'checkpoint {source} holds a {type(content).__name__}, not a dict of tensors: '
                'give one that torch.save wrote of a state dict'
            )
        super().__init__(content)
        self.source = source

    def __reduce__(self) -> tuple[Any, ...]:
        # A file that is read and written again (published_keys) must not need this class.
        return OrderedDict, (), None, None, iter(self.items())


def load_checkpoints_of_runner() -> bool:
    """MMEngine 0.10.7 cannot load its own checkpoints on PyTorch 2.6 or newer (mmengine#1655).

    ``torch.load`` has become ``weights_only=True``, which refuses the HistoryBuffers that Runner
    writes. Downloads go through ``torch.hub``, which still unpickles anything; upstream's fix (PR
    #1670, unreleased) does so for files too. Here files and URLs load tensors, plain values and
    HistoryBuffers, and nothing else. ``open-mmlab://``, ``torchvision://`` and ``mmcls://`` end in
    a URL.
    """
    from mmengine.runner import checkpoint

    if checkpoint.load_url is load_url:
        return False
    checkpoint.load_url = load_url
    register = checkpoint.CheckpointLoader.register_scheme
    register('', load_from_local, force=True)
    register([r'(\S+\:)?s3://', r'(\S+\:)?petrel://'], load_from_ceph, force=True)
    return True


# MMEngine calls these as (name, map_location), and logs the part of their names after `load_from_`.
def load_from_local(filename: str, map_location: Any = None) -> Checkpoint:
    """Load a local file, see :func:`load_file`."""
    return Checkpoint(load_file(filename, map_location=map_location), str(filename))


def load_from_ceph(filename: str, map_location: Any = None) -> Checkpoint:
    """Load from object storage."""
    from mmengine.runner import checkpoint

    backend = checkpoint.get_file_backend(filename, backend_args={'backend': 'petrel'})
    data = backend.get(filename)
    content = read_bytes(io.BytesIO(data), filename, len(data), map_location)
    return Checkpoint(content, filename)


def load_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    **kwargs: Any,
) -> Checkpoint:
    """Load from a URL, or from the file that was fetched from there already.

    A file ``NAME.url`` next to it holds the URL. A file without one, as ``torch.hub`` leaves them,
    counts for each URL that ends in its name.
    """
    path = _choose_file(url, Path(model_dir or Path(get_dir(), 'checkpoints')))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _find_note(path).write_text(_hide_password(url))  # first: a file never lacks it
        download_url_to_file(url, str(path), progress=progress)
    return Checkpoint(load_file(path, map_location=map_location), url)


def _choose_file(url: str, folder: Path) -> Path:
    """The file of a URL in ``folder``: its name, or with a digest if another URL has that file."""
    path = folder / os.path.basename(urlparse(url).path)
    note = _find_note(path)
    if not path.exists() or not note.exists() or note.read_text() == _hide_password(url):
        return path
    digest = hashlib.sha256(_hide_password(url).encode()).hexdigest()[:8]
    return path.with_name(f'{path.stem}-{digest}{path.suffix}')


def _find_note(path: Path) -> Path:
    return path.with_name(f'{path.name}.url')


def _hide_password(url: str) -> str:
    parts = urlparse(url)
    # A signature in the query is another one every day.
    return parts._replace(netloc=parts.netloc.rpartition('@')[2], query='', fragment='').geturl()


def load_strictly() -> bool:
    """MMEngine 0.10.7 loads the fitting tensors of a checkpoint and goes on, even if none fits.

    ``Runner``, ``load_checkpoint``, MMAction2's ``init_recognizer`` and the inferencers end in the
    functions below, which only log the tensors that do not fit. Now all of them load models with
    parts of mmstan whole or not at all. Other models load as before, except in runners of
    :func:`mmstan.apis.load.build_runner`.
    """
    from mmengine.runner import Runner, checkpoint

    if Runner.load_checkpoint is load_checkpoint_of_runner:
        return False
    _upstream.update(
        load_state_dict=checkpoint.load_state_dict,
        _load_checkpoint_to_model=checkpoint._load_checkpoint_to_model,
        load_checkpoint=Runner.load_checkpoint,
        resume=Runner.resume,
    )
    # `load_checkpoint` calls the first function. Modules that imported the first one by name keep
    # MMEngine's, which calls the second.
    checkpoint._load_checkpoint_to_model = load_checkpoint_to_model
    checkpoint.load_state_dict = load_state_dict
    Runner.load_checkpoint = load_checkpoint_of_runner  # type: ignore[method-assign]
    Runner.resume = resume_runner  # type: ignore[method-assign]
    return True


_upstream: dict[str, Any] = {}
# Errors from resuming a file that does not hold the state of a run.
_DAMAGED = (ArithmeticError, AttributeError, IndexError, RuntimeError, TypeError, ValueError)


def load_checkpoint_to_model(model: nn.Module, checkpoint: Any, *args: Any, **kwargs: Any) -> Any:
    """Load a checkpoint; models with parts of mmstan whole or not at all, others as MMEngine."""
    if not is_ours(model):
        return _upstream['_load_checkpoint_to_model'](model, checkpoint, *args, **kwargs)
    load_state_dict(model, checkpoint)
    return checkpoint


def load_state_dict(module: nn.Module, state_dict: Any, *args: Any, **kwargs: Any) -> None:
    """Load a state dict; models with parts of mmstan whole or not at all, others as MMEngine."""
    model = unwrap_model(module)
    if not is_ours(model):
        return _upstream['load_state_dict'](module, state_dict, *args, **kwargs)
    source = getattr(state_dict, 'source', 'of unknown name')
    state = find_state_dict(state_dict, source)
    model.load_state_dict(fit_state(model, state, source=source))


def load_checkpoint_of_runner(
    runner: Runner, filename: str, map_location: Any = 'cpu', *args: Any, **kwargs: Any
) -> Any:
    """Replace ``Runner.load_checkpoint``; in training the config's ``allow_missing`` counts."""
    from mmengine.runner.checkpoint import _load_checkpoint

    model = unwrap_model(runner.model)
    if not is_ours(model) and not getattr(runner, 'whole_checkpoints', False):
        return _upstream['load_checkpoint'](runner, filename, map_location, *args, **kwargs)
    checkpoint = _load_checkpoint(filename, map_location=map_location)
    # A runner builds its training loop, a dict until then, only to train.
    trains = isinstance(runner._train_loop, BaseLoop) and not runner._resume
    theirs = find_state_dict(checkpoint, filename)
    state = fit_state(
        model,
        theirs,
        source=filename,
        allow_missing=runner.cfg.get('allow_missing') or () if trains else None,
        new_parts=find_new_parts(model, theirs) if trains else (),
    )
    if getattr(runner, 'refuse_foreign_wrapping', False):
        refuse_foreign_wrapping(checkpoint, filename)
    checkpoint['state_dict'] = state
    runner.call_hook('after_load_checkpoint', checkpoint=checkpoint)
    model.load_state_dict(checkpoint['state_dict'])
    runner._has_loaded = True
    runner.logger.info(f'Load checkpoint from {filename}')
    return checkpoint


def resume_runner(runner: Runner, filename: str, *args: Any, **kwargs: Any) -> None:
    """Replace ``Runner.resume``; every error names the file.

    Raises:
        ValueError: The file is damaged, or holds no state of a run.
    """
    try:
        _upstream['resume'](runner, filename, *args, **kwargs)
    except KeyError as error:
        raise ValueError(
            f'checkpoint {filename} has no {error}: this run cannot go on from it, another one can '
            'start from it (load_from)'
        ) from error
    except _DAMAGED as error:
        if str(filename) in str(error):
            raise
        reason = write_on_one_line(f'{type(error).__name__}: {error}', most=300)
        raise ValueError(f'checkpoint {filename} cannot be resumed: {reason}') from error
