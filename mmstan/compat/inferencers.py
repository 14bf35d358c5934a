"""Fixes for MMAction2's inference functions, on configs with pipelines from ``ReadFrames``."""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import deepcopy
from functools import wraps
from typing import Any

import numpy as np


def keep_read_frames_in_inferencers() -> bool:
    """MMAction2 1.2's inferencers put DecordInit before ReadFrames, and take no ``Path``.

    So a video is opened twice, and a video that only ``ReadFrames`` can read fails with decord's
    traceback. With ``input_format='array'`` a ``type`` that is a class fails too. Given several
    videos, pictures are drawn of the first only. No thread at MMAction2 was found.
    """
    from mmaction.apis.inferencers import actionrecog_inferencer, mmaction2_inferencer

    inner = actionrecog_inferencer.ActionRecogInferencer
    outer = mmaction2_inferencer.MMAction2Inferencer
    if hasattr(inner._init_pipeline, '__wrapped__'):
        return False
    inner._init_pipeline = _keep_read_frames(inner._init_pipeline)
    for cls in (inner, outer):
        cls._inputs_to_list = _take_paths(cls._inputs_to_list)

    def visualize(self: Any, inputs: Any, preds: Any, **kwargs: Any) -> Any:
        of_each = [pred for of_one in preds['rec'] for pred in of_one]
        return self.actionrecog_inferencer.visualize(inputs, of_each, **kwargs)

    outer.visualize = visualize
    return True


def accept_recognizer_inputs() -> bool:
    """MMAction2 1.2's ``inference_recognizer`` takes neither a ``Path`` nor an array.

    Users ask for both in mmaction2#2790 and #2524.
    """
    from mmaction import apis
    from mmaction.apis import inference

    original = inference.inference_recognizer
    if hasattr(original, '__wrapped__'):
        return False

    @wraps(original)
    def inference_recognizer(model: Any, video: Any, test_pipeline: Any = None) -> Any:
        if isinstance(video, os.PathLike):
            video = os.fspath(video)
        elif isinstance(video, np.ndarray):
            video = dict(array=video, label=-1, start_index=0, modality='RGB')
        return original(model, video, test_pipeline)

    inference.inference_recognizer = apis.inference_recognizer = inference_recognizer
    return True


def _keep_read_frames(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def _init_pipeline(self: Any, cfg: Any) -> Any:
        from mmaction.utils import get_str_type
        from mmengine.dataset import Compose

        pipeline = deepcopy(cfg.test_dataloader.dataset.pipeline)
        names = [get_str_type(step['type']).rpartition('.')[2] for step in pipeline]
        if 'ReadFrames' not in names:
            return original(self, cfg)
        for step, name in zip(pipeline, names):
            if name in ('ThreeCrop', 'TenCrop'):  # MMAction2 does the same, to save memory
                step['type'] = 'CenterCrop'
        first = dict(type='InferencerPackInput', input_format=self.input_format, **self.pack_cfg)
        return Compose([first, *pipeline])

    return _init_pipeline


def _take_paths(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    @wraps(original)
    def _inputs_to_list(self: Any, inputs: Any) -> list[Any]:
        given = original(self, inputs)
        return [os.fspath(x) if isinstance(x, os.PathLike) else x for x in given]

    return _inputs_to_list
