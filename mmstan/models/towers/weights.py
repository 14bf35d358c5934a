"""Finding and reading the weights of image-language models; nothing here runs their code."""

from __future__ import annotations

import zipfile
from pathlib import Path

import open_clip
import torch
from open_clip.factory import load_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor, nn


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, the format in which OpenAI distributes CLIP."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any('/code/' in name for name in archive.namelist())


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
    path = Path(pretrained).expanduser()
    if path.is_file():
        return path
    if open_clip.is_pretrained_cfg(model, pretrained):
        return _download(model, pretrained)
    if path.suffix or len(path.parts) > 1:
        raise FileNotFoundError(f"pretrained='{pretrained}': there is no such file")
    tags = ', '.join(open_clip.list_pretrained_tags_by_model(model)) or 'none'
    raise ValueError(
        f"pretrained='{pretrained}' is neither a file nor a tag of '{model}' (its tags: {tags})"
    )


def _download(model: str, tag: str) -> Path:
    cfg = open_clip.get_pretrained_cfg(model, tag)
    reasons = []
    for prefer_hub in (True, False):
        try:
            return Path(open_clip.download_pretrained(cfg, prefer_hf_hub=prefer_hub))
        except Exception as error:  # each backend has errors of its own; all mean "not here"
            reasons.append(str(error).splitlines()[0])
        if not cfg.get('url'):
            break
    repository = cfg.get('hf_hub', '').rstrip('/')
    wanted = f'open_clip_model.safetensors of the Hugging Face repository {repository}'
    if cfg.get('url'):
        wanted += f', or {Path(cfg["url"]).name} from {cfg["url"]}'
    raise FileNotFoundError(
        f"no weights for '{model}' with pretrained='{tag}': not cached, and the download failed "
        f'({reasons[0]}). Fetch {wanted}, and set pretrained to the path of that file; '
        'pretrained=None goes on without weights'
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read an OpenAI, open_clip or safetensors file as float32 under open_clip's names.

    Returns:
        ``visual.*``, ``text.*`` and ``logit_scale``: the text tower's tensors, which CLIP files
        keep at top level, are put under ``text.`` as CoCa files have them.
    """
    if is_torchscript(path):
        state = dict(torch.jit.load(str(path), map_location='cpu').state_dict())
        for key in ('input_resolution', 'context_length', 'vocab_size'):
            state.pop(key, None)
    else:
        state = dict(load_state_dict(str(path)))
    state = convert_to_custom_text_state_dict(state)
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def load_part(module: nn.Module, state: dict[str, Tensor], *, prefix: str, source: str) -> None:
    """Load the tensors under ``prefix`` into ``module``, strictly.

    Raises:
        ValueError: Names every tensor that is missing, left over or of another shape.
    """
    part = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
    own = module.state_dict()
    wrong = [
        f'{what}: {", ".join(sorted(names))}'
        for what, names in (
            ('missing', own.keys() - part.keys()),
            ('left over', part.keys() - own.keys()),
            ('other shape', {k for k in own.keys() & part.keys() if own[k].shape != part[k].shape}),
        )
        if names
    ]
    if wrong:
        raise ValueError(
            f"{source} does not fit the tower's '{prefix}*' tensors; {'; '.join(wrong)}"
        )
    module.load_state_dict(part)
