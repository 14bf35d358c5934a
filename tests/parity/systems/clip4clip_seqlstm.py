"""CLIP4Clip's LSTM, from the released state dict through the converter."""

from typing import Any

from parity.systems import clip4clip_meanp
from torch import Tensor


def neck(meta: dict[str, Any]) -> dict[str, Any]:
    """The neck of the case's sizes."""
    return dict(type='mmstan.SequenceLSTM', width=meta['projection_dim'])


def outputs(
    meta: dict[str, Any], state: dict[str, Tensor], io: dict[str, Tensor]
) -> dict[str, Tensor]:
    return clip4clip_meanp.outputs(meta, state, io, neck(meta))
