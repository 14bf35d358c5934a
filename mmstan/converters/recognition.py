"""A retrieval model of ours <-> a recognition model: zero-shot after (post-)pretraining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmengine.logging import print_log
from torch import Tensor

from mmstan.converters.systems import register_converter
from mmstan.wording import name_a_few

_SCALE = 'head.logit_scale'
_TEXT_TOWER = 'cls_head.texts.tower.'
_OTHERS = [  # prefixes in retrieval and in recognition
    ('backbone.', 'backbone.'),
    ('neck.', 'neck.'),
    ('head.interaction.', 'cls_head.interaction.'),
]


def from_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """State dict of a ``VideoTextModel`` -> of a ``Recognizer3D`` with a ``TextHead``.

    A learned scale is left out and its value logged: ``TextHead`` takes it as an argument.

    Args:
        state: The state dict of the retrieval model.
        text_tower: Prefix of the retrieval model's text tower.

    Raises:
        ValueError: There is no text tower, or there are tensors that no retrieval model has.
    """
    if _SCALE in state:
        scale = float(state[_SCALE].exp())
        print_log(f'logit_scale={scale:.1f}, to be given to TextHead, is left out', 'current')
    kept = {name: tensor for name, tensor in state.items() if name != _SCALE}
    return _rename(kept, [(text_tower, _TEXT_TOWER), *_OTHERS])


def to_released(
    state: Mapping[str, Tensor], *, text_tower: str = 'text_tower.'
) -> dict[str, Tensor]:
    """The inverse of :func:`from_released`, for retrieval that starts from a recognition model."""
    pairs = [(_TEXT_TOWER, text_tower), *((ours, theirs) for theirs, ours in _OTHERS)]
    return _rename(state, pairs)


def _rename(state: Mapping[str, Tensor], prefixes: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    """Replace old prefixes of names by new ones; the first pair is the text tower's."""
    renamed = {
        new + name.removeprefix(old): tensor
        for name, tensor in state.items()
        for old, new in prefixes
        if name.startswith(old)
    }
    text = prefixes[0][0]
    if not any(name.startswith(text) for name in state):
        raise ValueError(
            f'there is no text tower, {text}*, among {name_a_few(sorted(state), most=3)}'
        )
    if len(renamed) < len(state):
        known = tuple(old for old, _ in prefixes)
        others = sorted(name for name in state if not name.startswith(known))
        raise ValueError(f'{len(others)} tensors left over: {name_a_few(others)}')
    return renamed


register_converter('recognition', from_released, to_released)
