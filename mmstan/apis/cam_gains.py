"""How much more of a map lies on the moving shape than chance, over many videos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from tqdm import tqdm

from mmstan.apis.cam_clips import find_videos, prepare_clip
from mmstan.apis.cam_pictures import Question, build_twin, find_maps
from mmstan.apis.layer_pictures import load_model_of_layers
from mmstan.visualization import Method, find_layer
from mmstan.wording import markdown_table


class Gain(NamedTuple):
    """Mean share of a layer's maps on the shape over the shape's mean share of the pictures."""

    own: float
    twin: float
    """The same of the model before training."""


def measure_gains(
    cfg: Config, *, videos: int, methods: Sequence[Method]
) -> dict[tuple[str, Method], Gain]:
    """Gain of every block and method on test videos of Moving Shapes, for their true classes.

    Maps of zeros, and videos with a white shape, which has no color, are left out.

    Args:
        cfg: A recognition config with its checkpoint in ``load_from``.
        videos: Number of videos, the first of the test set.
        methods: Methods.

    Raises:
        ValueError: No video has a colored shape, the model has no classes, or no block of it has
            gradients inside.
    """
    models: list[Any] = [load_model_of_layers(cfg, splits=('test',)), build_twin(cfg)]
    backbones = [model.backbone for model in models]
    names = [x for x in backbones[0].named_layers() if find_layer(backbones[0], x).inside]
    if not names or not hasattr(models[0], 'cls_head'):
        kind = f'{type(models[0]).__name__} of {type(backbones[0]).__name__}'
        raise ValueError(
            f'{cfg.filename}: {kind} has no classes, or no block with gradients inside; take a '
            'recognition config whose backbone has such blocks'
        )
    layers = [[find_layer(backbone, name) for name in names] for backbone in backbones]
    shares, covered = defaultdict(list), []
    for sample in tqdm(find_videos(cfg, range(videos)), desc='videos', disable=None):
        clip = prepare_clip(models[0], sample)
        if clip.shape is None:
            continue
        covered.append(float(clip.shape.mean()))
        question = Question(labels=[int(sample['data_samples'].gt_label)])
        for place, model in enumerate(models):
            found = find_maps(model, clip, question, layers[place], methods)
            for key, (_, of) in found.items():
                shares[key, place].append(float((of * clip.shape).sum() / of.sum()))
    if not covered:
        raise ValueError(
            f'{cfg.filename}: none of {videos} videos is one of Moving Shapes with a colored shape'
        )

    def average(*key: str) -> Gain:
        own, twin = (float(np.nanmean(shares[key, place]) / np.mean(covered)) for place in (0, 1))
        return Gain(own, twin)

    return {(layer, method): average(layer, method) for layer in names for method in methods}


def format_gains(gains: dict[tuple[str, Method], Gain]) -> str:
    """Markdown: a row a layer, a column a method; the twin's gain in brackets."""
    methods = list(dict.fromkeys(method for _, method in gains))
    rows = []
    for layer in dict.fromkeys(layer for layer, _ in gains):
        own = [gains[layer, method] for method in methods]
        rows.append([layer, *(f'{gain.own:.2f} ({gain.twin:.2f})' for gain in own)])
    return markdown_table(['layer', *methods], rows)
