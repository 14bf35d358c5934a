"""Where a model comes from: a saved folder or file, a config, a name, or the Hugging Face hub."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from torch import Tensor

from mmstan.apis.description import ModelDescription, Views, describe_config
from mmstan.apis.load import init_pretrained, refuse_random_weights
from mmstan.apis.package import is_package, load_package, save_package
from mmstan.apis.video_model import VideoModel
from mmstan.compat.state_dicts import fit_state
from mmstan.config.find import find_config
from mmstan.config.paths import is_checkpoint
from mmstan.registry import MODELS
from mmstan.wording import write_on_one_line

PRETRAINED = 'pretrained'
HUB = 'hf://'


def load(
    source: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    class_names: str | Sequence[str] | None = None,
    device: str | torch.device = 'auto',
    dtype: torch.dtype | None = None,
    views: Views = 1,
    batch_size: int = 8,
    workers: int = 2,
    allow: Sequence[str] = (),
) -> VideoModel:
    """Load a model, ready to use.

    Args:
        source: One of these, tried in this order: a folder that :meth:`VideoModel.save` wrote; its
            one file ``*.safetensors``; a config file; the name of a config
            (``'stan/k400_b16'`` or ``'stan_k400_b16'``); ``'hf://OWNER/NAME[@REVISION]'``; or a
            file ``*.onnx`` that :meth:`VideoModel.export` wrote.
        weights: For a config a checkpoint, or ``'pretrained'`` for the image-language model alone,
            as the config names it. A saved model has its own.
        class_names: Names of the classes, or a file of them, in the place of the config's.
        device: ``'auto'`` is CUDA where it works, then MPS, then the CPU.
        dtype: Type of autocast; by default bfloat16 on CUDA, and float32 elsewhere.
        views: 1 takes the centre of a video, ``'test'`` the views of the config's test.
        batch_size: Videos that go through the model at once.
        workers: Threads that read videos ahead of the model.
        allow: Modules of your own that a saved model needs (its ``requires``). They run code.

    Raises:
        ValueError: There are no weights, or they do not fit; or a saved model asks for something
            that is not allowed.
        FileNotFoundError: There is no such source, or no such file of weights.
    """
    source = os.fspath(source)
    use: Any = dict(views=views, batch_size=batch_size, workers=workers)
    if source.endswith('.onnx') and os.path.isfile(source):
        given = dict(weights=weights, class_names=class_names, dtype=dtype)
        return VideoModel(*_load_onnx(source, device, allow, given), **use)
    device = choose_device(device)
    if source.startswith(HUB):
        from mmstan.apis.hub import fetch_package

        source = str(fetch_package(source))
    if is_package(source):
        if weights is not None:
            raise ValueError(f'{source} has weights of its own; leave weights={weights} out')
        print_log(f'{source}: a saved model', 'current')
        description, model = load_package(source, allow=allow, class_names=class_names)
    else:
        description, model = _load_config(source, weights, class_names)
    if dtype is None:
        dtype = torch.bfloat16 if device.type == 'cuda' else torch.float32
    return VideoModel(model, description, device=device, dtype=dtype, **use)


def _load_onnx(
    source: str, device: str | torch.device, allow: Sequence[str], given: dict[str, Any]
) -> tuple[Any, ModelDescription]:
    """An exported model, which ONNX Runtime runs on the CPU and in the file's own precision."""
    from mmstan.apis.export.onnx_model import load_onnx

    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise ValueError(
            f'{source} has {", ".join(wrong)} of its own: leave that out '
            "(classify(..., class_names=['...']) takes other names)"
        )
    if str(device) not in ('auto', 'cpu'):
        raise ValueError(f"device={str(device)!r}: {source} runs on the CPU here; use 'cpu'")
    return load_onnx(source, allow=allow)


def choose_device(device: str | torch.device = 'auto') -> torch.device:
    """The device of a name; ``'auto'`` is the fastest that works.

    Raises:
        ValueError: PyTorch knows no such device, or it does not work here.
    """
    if device != 'auto':
        try:
            chosen = torch.device(device)
            torch.empty(0, device=chosen)
        except (RuntimeError, AssertionError) as error:
            reason = write_on_one_line(error)
            raise ValueError(
                f"device={device!r} does not work here ({reason}): use 'cpu'"
            ) from error
        return chosen
    if torch.cuda.is_available():
        return torch.device('cuda')
    return torch.device('mps' if torch.backends.mps.is_available() else 'cpu')


def _load_config(
    source: str, weights: str | os.PathLike[str] | None, class_names: str | Sequence[str] | None
) -> tuple[ModelDescription, Any]:
    """Build the model of a config, with its weights."""
    path, name = find_config(source)
    cfg = Config.fromfile(path)
    if weights is None:
        raise ValueError(
            f"config {name} has no weights: give weights=FILE, or weights='{PRETRAINED}' for the "
            'image-language model alone'
        )
    print_log(f'{source}: the config {path}', 'current')
    description = describe_config(cfg, class_names=class_names, name=name)
    init_default_scope('mmaction')
    if weights == PRETRAINED:
        cfg.load_from = None
        refuse_random_weights(cfg)
        model = MODELS.build(description.model)
        init_pretrained(model)
        return description, model
    weights = os.fspath(weights)
    if not is_checkpoint(weights):
        raise FileNotFoundError(f'weights={weights!r}: there is no such file')
    model = MODELS.build(description.model)
    load_checkpoint(model, weights, map_location='cpu', logger='current')
    return description, model


def package_state(
    config: str,
    state: Mapping[str, Tensor],
    folder: str | os.PathLike[str],
    *,
    source: str,
    class_names: str | Sequence[str] | None = None,
) -> None:
    """Save the model of a config with tensors that are already in memory, as a folder.

    Args:
        config: A config, or the name of one.
        state: State dict in mmstan's names.
        folder: A new folder.
        source: Where the tensors are from, for messages.
        class_names: Names of the classes, or a file of them, in the place of the config's.

    Raises:
        ValueError: The tensors do not fit the config's model.
    """
    path, name = find_config(config)
    description = describe_config(Config.fromfile(path), class_names=class_names, name=name)
    init_default_scope('mmaction')
    model: Any = MODELS.build(description.model)
    model.load_state_dict(fit_state(model, state, source=source))
    save_package(folder, description, model)


def find_text_prefix(config: str) -> str:
    """The prefix of the text tower's names in the model of a config, ``'text_tower.'``."""
    retrieval = 'text_tower' in Config.fromfile(find_config(config)[0]).model
    return 'text_tower.' if retrieval else 'cls_head.texts.tower.'
