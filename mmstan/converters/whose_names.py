"""Find the system of a checkpoint that does not fit, and the command that converts it."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmstan.compat.state_dicts import HINTS
from mmstan.converters.key_map import KeysDiffer, add_prefixes, to_ours
from mmstan.converters.openai_clip import TEXT, VISUAL
from mmstan.converters.systems import CONVERTERS, Convert

_TEXT_TOWERS = ('text_tower.', 'cls_head.texts.tower.')  # in retrieval, in recognition
_OF_CLIP = add_prefixes(VISUAL, theirs='visual.', ours='visual.') + TEXT
_BESIDE = ('logit_scale', 'input_resolution', 'context_length', 'vocab_size')


class Match(NamedTuple):
    """Agreement of a converter's names with a checkpoint's names."""

    alike: float
    """Share of the names that agree; above 1 if all do."""
    arguments: tuple[str, ...]
    """The command's arguments from the system's name on, without the files."""


def name_converter(theirs: Mapping[str, Any], own: Collection[str], source: str) -> str | None:
    """A sentence with the command that converts ``theirs``; None if no system has its names.

    Args:
        theirs: A state dict that does not fit.
        own: Names of the model.
        source: Name of the file.
    """
    if _is_clip(theirs):
        return (
            'these are the weights of an image-language model alone: give the file as '
            f"pretrained='{source}' of the towers"
        )
    shapes = {name: _drop_numbers(value) for name, value in theirs.items()}
    matches = [
        _match(shapes, own, convert, (system, *options))
        for system, converter in CONVERTERS.items()
        for convert, options in ((converter[0], ()), (converter[1], ('--reverse',)))
    ]
    best = max(matches, key=lambda match: match.alike, default=Match(0, ()))
    if best.alike < 0.5:
        return None
    system, *options = best.arguments
    command = ' '.join(['python tools/convert_checkpoint.py', system, source, 'OUT.pth', *options])
    return f"its names are those of '{system}': {command} converts it"


def _match(
    theirs: Mapping[str, Any],
    own: Collection[str],
    convert: Convert,
    arguments: tuple[str, ...],
) -> Match:
    """Compare the names of ``theirs`` with one direction of a converter."""
    parameter = inspect.signature(convert).parameters.get('text_tower')
    place = None if parameter is None else parameter.default
    if place in _TEXT_TOWERS and arguments[0] != 'recognition':  # there it is the source's prefix
        here = next((x for x in _TEXT_TOWERS if any(n.startswith(x) for n in own)), place)
        arguments += () if here == place else ('--text-tower', here)
        place = here
    try:
        converted = convert(theirs, **({} if parameter is None else dict(text_tower=place)))
    except KeysDiffer as error:
        # An incomplete file of this system; in reverse, an incomplete file of ours is no evidence.
        return Match(0 if '--reverse' in arguments else error.alike, arguments)
    except Exception:  # other names and values can make any step of a map fail
        return Match(0, arguments)
    # A file of ours may fit a map as well: converting must bring the names closer to the model's.
    before, after = len(theirs.keys() & set(own)), len(converted.keys() & set(own))
    if after < before or (after == before and '--reverse' in arguments):
        return Match(0, arguments)
    return Match(1 + after / max(1, len(converted)), arguments)


def _is_clip(theirs: Mapping[str, Any]) -> bool:
    """Whether these are CLIP's tensors under OpenAI's or open_clip's names, and no others."""
    custom = ('visual.', 'text.', 'text_decoder.', *_BESIDE)  # open_clip's, with CoCa's
    if any(name.startswith('text.') for name in theirs):
        return all(name.startswith(custom) for name in theirs)
    try:
        to_ours({k: v for k, v in theirs.items() if k not in _BESIDE}, _OF_CLIP)
    except (ValueError, AttributeError, TypeError, RuntimeError):  # a value may be anything
        return False
    return True


def _drop_numbers(value: Any) -> Any:
    """A tensor on the meta device, which has a shape and no numbers; a single number stays."""
    if isinstance(value, Tensor) and value.numel() > 1:
        return torch.empty_like(value, device='meta')
    return value


HINTS.append(name_converter)
