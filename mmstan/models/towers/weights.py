"""Finding and reading the weights of image-language models; nothing here runs their code."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import open_clip
from huggingface_hub import constants as hub
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor, nn

from mmstan.compat.closed import read_file
from mmstan.compat.misfits import find_problems, list_problems
from mmstan.compat.state_dicts import find_state_dict, unwrap_name

_SIZES = ('input_resolution', 'context_length', 'vocab_size')  # numbers in OpenAI's archives


def find_weights(model: str, pretrained: str) -> Path:
    """The local file that ``pretrained`` means, downloaded if need be.

    Args:
        model: open_clip's model name.
        pretrained: A file, or a tag that open_clip knows for ``model`` (``'openai'``).

    Raises:
        FileNotFoundError: The tag's file is neither cached nor can it be downloaded, or there is
            no such file.
        ValueError: ``pretrained`` is neither a file nor a tag of ``model``.
    """
    if open_clip.is_pretrained_cfg(model, pretrained):
        return _download(model, pretrained)
    path = Path(pretrained).expanduser()
    if path.is_file():
        return path
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(
            f"pretrained='{pretrained}': there is no such file; set pretrained to one that exists, "
            'or to None to go on without weights'
        )
    tags = ', '.join(open_clip.list_pretrained_tags_by_model(model)) or 'none'
    raise ValueError(
        f"pretrained='{pretrained}' is neither a file nor a tag of '{model}' (its tags: {tags})"
    )


def _download(model: str, tag: str) -> Path:
    cfg = open_clip.get_pretrained_cfg(model, tag)
    reasons = []
    with _short_waits():
        for key, prefer_hub in (('hf_hub', True), ('url', False)):
            if not cfg.get(key):
                continue
            try:
                return Path(open_clip.download_pretrained(cfg, prefer_hf_hub=prefer_hub))
            except Exception as error:  # each backend has errors of its own; all mean "not here"
                reasons.append(f'{type(error).__name__}: {error}'.splitlines()[0])
    repository = cfg.get('hf_hub', '').rstrip('/')
    wanted = f'open_clip_model.safetensors of the Hugging Face repository {repository}'
    if cfg.get('quick_gelu') and not model.endswith('-quickgelu'):
        wanted += f" (and write model='{model}-quickgelu': this file does not tell the activation)"
    if cfg.get('url'):
        wanted += f', or {Path(cfg["url"]).name} from {cfg["url"]}'
    raise FileNotFoundError(
        f"no weights for '{model}' with pretrained='{tag}': not cached, and the download failed "
        f'({"; ".join(reasons)}). Fetch {wanted}, and set pretrained to the path of that file; '
        'pretrained=None goes on without weights'
        f'{_remind_of_activation(model, cfg)}'
    )


def _remind_of_activation(model: str, cfg: Mapping[str, Any]) -> str:
    if not cfg.get('quick_gelu') or model.endswith('-quickgelu'):
        return ''
    return f" (with model='{model}-quickgelu', for checkpoints that began with these)"


@contextmanager
def _short_waits() -> Iterator[None]:
    """Without a network the hub would retry for a minute, and a dropped packet wait for longer."""
    offline, timeout = hub.HF_HUB_OFFLINE, socket.getdefaulttimeout()
    hub.HF_HUB_OFFLINE = offline or not _reachable(hub.ENDPOINT)  # its cache still counts
    socket.setdefaulttimeout(10)
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = offline
        socket.setdefaulttimeout(timeout)


def _reachable(address: str) -> bool:
    if getproxies():  # the proxy would know, and there are several kinds
        return True
    url = urlsplit(address)
    try:
        port = url.port or (80 if url.scheme == 'http' else 443)
        socket.create_connection((url.hostname, port), timeout=10).close()
    except OSError:
        return False
    return True


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read an OpenAI, open_clip or safetensors file as float32 under open_clip's names.

    Returns:
        ``visual.*``, ``text.*`` and ``logit_scale``: the text tower's tensors, which CLIP files
        keep at top level, are put under ``text.`` as CoCa files have them.

    Raises:
        ValueError: The file is damaged, or none of these.
    """
    found = find_state_dict(read_file(path), str(path))
    state = {
        unwrap_name(name): value
        for name, value in found.items()
        if isinstance(value, Tensor) and name not in _SIZES
    }
    state = convert_to_custom_text_state_dict(state)
    for name in ('visual.positional_embedding', 'text.positional_embedding'):
        if name in state and state[name].ndim != 2:
            raise ValueError(f"'{path}': {name} has {state[name].ndim} dimensions instead of 2")
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def resize_table(
    resize: Callable[[dict[str, Tensor], nn.Module], None],
    state: dict[str, Tensor],
    tower: nn.Module,
    source: Path,
) -> None:
    """Interpolate a position table for ``tower`` with a function of open_clip.

    Raises:
        ValueError: The table is of no square grid.
    """
    try:
        resize(state, tower)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"'{source}': its positions cannot be interpolated ({reason})") from error


def load_part(module: nn.Module, state: dict[str, Tensor], *, prefix: str, source: str) -> None:
    """Load the tensors under ``prefix`` into ``module``, strictly.

    Raises:
        ValueError: Tensors are missing, left over, of another shape or not finite; counts and
            names them.
    """
    part = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    problems = find_problems(module, module.state_dict(), part)
    if problems:
        raise ValueError(
            f"'{source}' does not fit the tower's '{prefix}*' tensors; {list_problems(problems)}; "
            'set model to the architecture that the weights are of'
        )
    module.load_state_dict(part)
