"""BT-Adapter's released checkpoints <-> ours: ``mmstan.STAN(class_token='own', gates=True)``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mmengine.logging import print_log
from torch import Tensor

from mmstan.converters.key_map import Entry, add_prefixes, to_ours, to_theirs
from mmstan.converters.systems import register_converter
from mmstan.methods.stan.checkpoints import VIDEO as STAN_VIDEO

_PREFIXES = ('backbone.', 'model.vision_tower.', '')
# Of post-pretraining: the projection of the cosine loss, the text tower, the loss's scale.
_DROPPED = re.compile(
    r'(.*\.)?extra_proj\.|text_backbone\.|text_model\.|text_projection\.|(.*\.)?logit_scale$'
)


def _rename_branch(name: str) -> str:
    return name.replace('STAN_', 'btadapter_')


VIDEO = [
    *(
        Entry(tuple(map(_rename_branch, entry.sources)), entry.ours, entry.op)
        for entry in STAN_VIDEO
    ),
    Entry('btadapter_cls_token', 'branches.0.class_token'),
    Entry('balance2', 'branches.0.level_gate'),
    Entry('balance1', 'branches.0.output_gate'),
]
"""The video encoder: STAN's table with other names, a class token and two gates."""


def from_released(state: Mapping[str, Tensor], *, video: str | None = None) -> dict[str, Tensor]:
    """A released state dict under our names.

    ``timesFPN_`` in old files is ``btadapter_`` in newer ones. Position ids, which are a range, the
    text tower and the projection of the cosine loss are dropped; their number is logged.

    Args:
        state: The released state dict.
        video: Prefix of its video encoder; by default ``'backbone.'``, ``'model.vision_tower.'`` or
            none, as the names are.

    Raises:
        ValueError: Names every tensor that is missing or left over; or the file is an
            instruction-tuned model's, which has the last layers alone.
    """
    prefix = _find_prefix(state) if video is None else video
    kept: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not (_DROPPED.match(name) or name.endswith('position_ids')):
            kept[re.sub(r'\btimesFPN_', 'btadapter_', name)] = tensor
    if dropped := len(state) - len(kept):
        print_log(f'{dropped} tensors of text tower and losses are dropped', 'current')
    _refuse_tuned_part(kept, prefix)
    ours = to_ours(kept, add_prefixes(VIDEO, theirs=prefix, ours='backbone.'))
    token = 'backbone.branches.0.class_token'
    return {**ours, token: ours[token].flatten()}  # (1, 1, C) -> (C)


def to_released(state: Mapping[str, Tensor], *, video: str = 'backbone.') -> dict[str, Tensor]:
    """Our state dict under the released names, the inverse of :func:`from_released`.

    The text tower is dropped.
    """
    kept = {name: tensor for name, tensor in state.items() if name.startswith('backbone.')}
    theirs = to_theirs(kept, add_prefixes(VIDEO, theirs=video, ours='backbone.'))
    token = video + 'btadapter_cls_token'
    return {**theirs, token: theirs[token].reshape(1, 1, -1)}


def _find_prefix(state: Mapping[str, Tensor]) -> str:
    """The prefix of the video encoder in a released file."""
    found = (p for p in _PREFIXES if any(name.startswith(f'{p}layers.') for name in state))
    return next(found, _PREFIXES[0])


def _refuse_tuned_part(state: Mapping[str, Tensor], prefix: str) -> None:
    """Refuse the file of an instruction-tuned model: it has the branch and its tower blocks."""
    layers = re.compile(re.escape(prefix) + r'layers\.(\d+)\.')
    numbers = {int(match[1]) for match in map(layers.match, state) if match}
    if numbers and 0 not in numbers:
        raise ValueError(
            f'the file has the tower blocks {min(numbers) + 1} to {max(numbers) + 1} alone, as '
            'instruction-tuned BT-Adapters do: take a file of its pretraining, which has them all'
        )


register_converter('bt_adapter', from_released, to_released)
