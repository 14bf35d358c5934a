"""The table of parameters and multiply-adds of one view."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config

from mmstan.benchmark.measure import count_multiply_adds, count_parameters
from mmstan.benchmark.view import build, count_view, find_text_parts, without_computing
from mmstan.datasets.transforms.resize_to_grid import fit_to_grid
from mmstan.models.towers import TextTower


def format_flops(cfg: Config, frames: int, size: int) -> str:
    """A text table of ``cfg``'s model for one view of ``frames`` x ``size`` x ``size``.

    A detector's view has four boxes; a second one is as wide as a film (16:9).
    """
    model = build(cfg)
    widths = [size]
    if hasattr(model, 'roi_head'):
        patch = size // model.backbone.tower.grid(torch.empty(0, size, size))[0]
        widths.append(fit_to_grid(9, 16, short=size, patch=patch)[1])
    with without_computing(model):
        counted = [(w, count_view(model, torch.empty(1, 3, frames, size, w))) for w in widths]
        text_side = describe_text_side(model)
    whole, of_text = count_parameters(model), count_parameters(*find_text_parts(model))
    lines = []
    for width, (nominal, executed) in counted:
        lines += [
            f'one view: {frames} frames of {size} x {width}{_describe_classes(model)}',
            f'{"":24}{"nominal":>12}{"executed":>12}',
            _format_row('GMACs', nominal.total, executed.total),
            _format_row('GMACs, linear + conv', nominal.linear, executed.linear),
        ]
    video_side = _format_parameters('video side', whole[0] - of_text[0], whole[1] - of_text[1])
    return '\n'.join([*lines, video_side, *text_side])


def _describe_classes(model: Any) -> str:
    if hasattr(model, 'roi_head'):
        return f', 4 boxes, {model.roi_head.bbox_head.num_classes - 1} actions'
    number = getattr(getattr(model, 'cls_head', None), 'num_classes', None)
    return f', {number} classes' if number else ''


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
