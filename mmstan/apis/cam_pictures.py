"""Print and draw where a model looks in a video when it scores a text or a class."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor

from mmstan.apis.cam_clips import Clip, cut_padding, prepare_clip
from mmstan.models.heads.named_classes_head import NamedClassesHead
from mmstan.visualization import (
    METHODS,
    Layer,
    Method,
    class_rank,
    class_score,
    compute_frame_shares,
    compute_gain,
    compute_maps,
    compute_time_matrix,
    draw_maps,
    find_layer,
    pair_score,
    scaled,
)
from mmstan.visualization.cam import Scale
from mmstan.visualization.scores import ask_for_labels, check_labels
from mmstan.wording import check_choice, markdown_table


class Question(NamedTuple):
    """The score that is explained: of a text, or of a class; less another text's."""

    text: str | None = None
    against: str | None = None
    labels: Sequence[int] = ()


class View(NamedTuple):
    """Which maps are drawn, and how."""

    layers: Sequence[str] = ()
    """Names of layers; the backbone's main ones by default."""
    methods: Sequence[Method] = ('gradcam',)
    scale: Scale = 'video'


Looked = dict[tuple[str, ...], tuple[float, Tensor]]
"""(layer, method), or (layer,) of attention over time -> score, and map or matrix."""


def check_question(model: Any, question: Question, name: str) -> None:
    """Raise ValueError for a question that the model does not answer.

    Args:
        model: The model.
        question: The question.
        name: The config, for the message.
    """
    text, _, labels = question
    if hasattr(model, 'similarity'):
        if labels:
            raise ValueError(
                f'--label {labels[0]}: {name} is of retrieval, which has no classes; give --text'
            )
        if text is None:
            raise ValueError(f'{name}: give --text, the text whose score is explained')
        return
    if not hasattr(model, 'cls_head'):
        kind = type(model).__name__
        raise ValueError(f'{name}: {kind} scores no texts or classes; take a config that does')
    if not isinstance(model.cls_head, NamedClassesHead):
        if text is not None and labels:
            kind = type(model.cls_head).__name__
            raise ValueError(f'--text {text!r} with --label {labels[0]}: {kind} reads no texts')
        return  # `class_score` refuses texts
    if text is None and not labels:
        raise ValueError(f'{name}: give --text, or {ask_for_labels(model)}')
    if labels:
        own = model.cls_head.class_names[check_labels(model, labels)[0]]
        if text not in (None, own):
            raise ValueError(
                f'--text {text!r} with --label {labels[0]}, whose text is {own!r}: give one of them'
            )


def build_twin(cfg: Config) -> Any:
    """The model of a config as ``init_weights`` leaves it, with seed 0, in evaluation mode."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        model.init_weights()
    return model.eval()


def show_maps(
    model: Any,
    sample: dict[str, Any],
    question: Question,
    view: View,
    path: Path,
    *,
    twin: Any = None,
) -> None:
    """Print and draw the maps of one video.

    Args:
        model: A model in evaluation mode.
        sample: A video, as a data set gives it.
        question: The score that is explained.
        view: Which maps.
        path: The picture's path, ``.png``.
        twin: The same model with other weights, whose maps are drawn below each row.

    Raises:
        ValueError: The model does not answer the question, or a layer has no such map.
    """
    for method in view.methods:
        check_choice('--method', method, METHODS)
    clip = prepare_clip(model, sample)
    every = [
        find_layer(model.backbone, name) for name in view.layers or model.backbone.main_layers()
    ]
    found = {'': find_maps(model, clip, question, every, view.methods)}
    if twin is not None:
        twin = twin.to(clip.inputs.device)
        twins = [find_layer(twin.backbone, layer.name) for layer in every]
        found[', random twin'] = find_maps(twin, clip, question, twins, view.methods)
    report_empty_maps(found[''])
    rows, matrices = {}, {}
    for key in found['']:
        for whose, looked in found.items():
            score, drawn = looked[key]
            if drawn.ndim == 3:
                rows[f'{" ".join(key)}{whose}, score {score:.3f}'] = scaled(drawn, view.scale)
            else:
                matrices[f'{key[0]}{whose}'] = drawn
    title = f'{clip.name}: {describe_score(model, clip, question, found[""])}'
    draw_maps(path, clip.frames, rows, matrices, title=title)
    print(title)
    print(format_maps(found, clip.shape))


def find_maps(
    model: Any, clip: Clip, question: Question, layers: Sequence[Layer], methods: Sequence[Method]
) -> Looked:
    """The maps and matrices of all layers for one clip, not scaled."""

    def score() -> Tensor:
        text, against, labels = question
        if hasattr(model, 'similarity'):
            return pair_score(
                model, clip.inputs, str(text), against=against, data_samples=clip.samples
            )
        text = None if labels else text
        return class_score(model, clip.inputs, labels=labels, text=text, against=against)

    found: Looked = {}
    for layer in layers:
        if layer.over_time:
            value, matrix = compute_time_matrix(model, layer, score)
            real = slice(None) if clip.real is None else clip.real
            found[layer.name,] = value, matrix[real][:, real].cpu()
            continue
        value, maps = compute_maps(model, clip.inputs, layer, methods, score)
        for method, of in maps.items():
            found[layer.name, method] = value, cut_padding(of, clip.real).cpu()
    return found


def report_empty_maps(found: Looked) -> None:
    """Warn of maps that are zero everywhere."""
    for key, (_, of) in found.items():
        if not of.any():
            print_log(
                f'layer {key[0]}, {key[1]}: the map is zero everywhere, since all its values are '
                'negative and cut off; --method attention, which blocks have, cuts nothing off',
                'current',
                logging.WARNING,
            )


def describe_score(model: Any, clip: Clip, question: Question, looked: Looked) -> str:
    """Write the text or class, its score and, of a class, its rank."""
    text, against, labels = question
    score = next(iter(looked.values()))[0]
    if labels:
        names = getattr(model.cls_head, 'class_names', None)
        text = names[labels[0]] if names else f'class {" ".join(map(str, labels))}'
    words = f'{text} - {against}' if against else str(text)
    ranks = class_rank(model, clip.inputs, labels) if labels else ()
    rank = f', rank {" ".join(map(str, ranks))}' if ranks else ''
    return f'{words}, score {score:.4f}{rank}'


def format_maps(found: dict[str, Looked], shape: Tensor | None) -> str:
    """Markdown: a row a map with its score, each frame's share and, with a shape, the gains.

    Args:
        found: Maps of the model under ``''``, and of its twin.
        shape: See :attr:`Clip.shape`.
    """
    gains = shape is not None and len(found) > 1
    head = ['layer', 'method', 'score', 'share of each frame']
    head += ['gain', 'gain of the random twin'] if gains else []
    rows = []
    for key, (score, of) in found[''].items():
        if of.ndim < 3:
            hears = '; '.join(' '.join(f'{x:.2f}' for x in row) for row in of.tolist())
            rows.append([key[0], 'who hears whom', f'{score:.4f}', hears, *['-'] * 2 * gains])
            continue
        shares = ' '.join(f'{x:.2f}' for x in compute_frame_shares(of).tolist())
        row = [*key, f'{score:.4f}', shares]
        if shape is not None and gains:
            step = len(shape) // len(of)
            row += [f'{compute_gain(x[key][1], shape[::step]):.2f}' for x in found.values()]
        rows.append(row)
    return markdown_table(head, rows)
