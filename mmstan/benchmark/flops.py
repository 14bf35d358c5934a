"""The table of parameters and multiply-adds of one view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config

from mmstan.benchmark.measure import count_multiply_adds, count_parameters
from mmstan.benchmark.view import build, count_view, find_text_parts, without_computing
from mmstan.models.towers import TextTower


def format_flops(cfg: Config, frames: int, size: int) -> str:
    """A text table of ``cfg``'s model for one view of ``frames`` x ``size`` x ``size``.

    A detector is counted with four boxes, and for wide frames as well, see :func:`list_widths`.
    """
    model = build(cfg)
    with without_computing(model):
        views = [
            _describe_view(model, frames, size, width) for width in list_widths(cfg.model, size)
        ]
        text_side = describe_text_side(model)
    whole, of_text = count_parameters(model), count_parameters(*find_text_parts(model))
    return '\n'.join(
        [
            *(line for view in views for line in view),
            _format_parameters('video side', whole[0] - of_text[0], whole[1] - of_text[1]),
            *text_side,
        ]
    )


def list_widths(model: Mapping[str, Any], size: int) -> list[int]:
    """Widths of the frames to count for, in pixels.

    Detection tests whole frames, so a detector is counted for a wide frame, too: 16 : 9, to the
    nearest multiple of 16 (256 x 448).
    """
    return [size, round(size * 16 / 9 / 16) * 16] if 'roi_head' in model else [size]


def _describe_view(model: Any, frames: int, height: int, width: int) -> list[str]:
    """Lines with the multiply-adds of one view."""
    nominal, executed = count_view(model, torch.empty(1, 3, frames, height, width))
    number = getattr(getattr(model, 'cls_head', None), 'num_classes', None)
    more = f', {number} classes' if number else ''
    more = ', 4 boxes' if hasattr(model, 'roi_head') else more
    return [
        f'one view: {frames} frames of {height} x {width}{more}',
        f'{"":24}{"nominal":>12}{"executed":>12}',
        _format_row('GMACs', nominal.total, executed.total),
        _format_row('GMACs, linear + conv', nominal.linear, executed.linear),
    ]


def describe_text_side(model: Any) -> list[str]:
    """Lines with the text side's parameters and a text's multiply-adds; none without texts."""
    parts = find_text_parts(model)
    if not parts:
        return []
    tower = next(part for part in parts if isinstance(part, TextTower))
    # Token ids are real numbers also where the model is not: they index a table.
    with torch.device('cpu'):
        ids = tower.tokenize([''], getattr(model, 'text_length', None))
    macs = count_multiply_adds(tower, ids)
    return [
        _format_parameters('text side', *count_parameters(*parts)),
        f'a text of {ids.shape[1]} tokens: {macs.total / 1e9:.2f} GMACs',
    ]


def _format_row(name: str, nominal: int, executed: int) -> str:
    return f'{name:24}{nominal / 1e9:12.2f}{executed / 1e9:12.2f}'


def _format_parameters(name: str, total: int, trainable: int) -> str:
    return f'{name}: {total / 1e6:.2f} M parameters, {trainable / 1e6:.2f} M trainable'
