"""Persons in frames, by torchvision's detector with weights from a local file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.hub import get_dir

from mmstan.apis.sources import choose_device
from mmstan.compat.checkpoints import load_file
from mmstan.compat.state_dicts import find_state_dict, fit_state
from mmstan.datasets.readers import open_video
from mmstan.datasets.readers.play import read_in_order

WEIGHTS = 'fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth'
"""The file of torchvision's weights."""
ADDRESS = f'https://download.pytorch.org/models/{WEIGHTS}'
_PERSON = 1  # class of COCO
_BATCH = 4  # frames that go through the detector at once


class PersonDetector:
    """torchvision's Faster R-CNN (ResNet-50 FPN, version 2), of which the class person is kept.

    Its weights are trained on COCO; persons in films differ, so that AVA's own boxes are found less
    often.

    Args:
        weights: The file of its weights, or a name of one in torch.hub's folder. Nothing is
            downloaded.
        device: ``'auto'`` is CUDA where it works, then MPS, then the CPU.
        short: Pixels of a frame's short side in the detector.

    Raises:
        FileNotFoundError: There is no such file; the message says where it can be downloaded.
        ValueError: The file has other weights.
    """

    def __init__(
        self, weights: str | os.PathLike[str], *, device: str = 'auto', short: int = 800
    ) -> None:
        path = find_person_weights(weights)
        self.device = choose_device(device)
        self.model = _build(short)
        state = find_state_dict(load_file(path, map_location='cpu'), str(path))
        self.model.load_state_dict(fit_state(self.model, state, source=str(path)))
        self.model.to(self.device).eval()

    def find(self, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Find the persons of frames (H, W, 3), uint8 RGB.

        Returns:
            For each frame x1, y1, x2, y2 as fractions and the score, (n, 5), the best first.
        """
        found = []
        for start in range(0, len(frames), _BATCH):
            images = [
                torch.from_numpy(frame).to(self.device).permute(2, 0, 1).float() / 255
                for frame in frames[start : start + _BATCH]
            ]
            with torch.inference_mode():
                outputs = self.model(images)
            found += [_take_persons(*pair) for pair in zip(outputs, images)]
        return found

    def find_in_video(
        self, video: str, choose: Callable[..., Mapping[float, int]]
    ) -> Iterator[tuple[float, np.ndarray]]:
        """Find the persons at key frames of a video.

        Args:
            video: Path of the video.
            choose: (number of frames, frames a second, times=) -> second of a key frame -> its
                frame; ``times`` are as of :func:`~mmstan.datasets.readers.find_frames`.

        Yields:
            The second of each key frame, in the order of the frames, and its persons (n, 5) as
            :meth:`find` returns them.
        """
        with open_video(video) as reader:
            given = choose(reader.num_frames, reader.avg_fps, times=reader.uneven_times)
            chosen = sorted(given.items(), key=itemgetter(1))
            frames = read_in_order(reader, [frame for _, frame in chosen])
            for start in range(0, len(chosen), _BATCH):
                part = chosen[start : start + _BATCH]
                found = self.find([*islice(frames, len(part))])
                yield from zip((second for second, _ in part), found)


def find_person_weights(weights: str | os.PathLike[str]) -> Path:
    """Find the file of the person detector's weights: a path, or a name in torch.hub's folder.

    Raises:
        FileNotFoundError: It is in neither place.
    """
    path, folder = Path(weights), Path(get_dir(), 'checkpoints')
    found = next((p for p in (path, folder / path.name) if p.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f'{path}: there are no such weights of a person detector, nor in {folder}; download '
            f'{ADDRESS} and give its path, or give boxes of persons'
        )
    return found


def _build(short: int) -> nn.Module:
    # Not at the top: it takes a second, which the other commands need not wait.
    from torchvision.models.detection import fasterrcnn_resnet50_fpn_v2

    # Both None: torchvision downloads what is not said to be None.
    model: nn.Module = fasterrcnn_resnet50_fpn_v2(
        weights=None, weights_backbone=None, min_size=short
    )
    return model


def _take_persons(output: Mapping[str, Any], image: torch.Tensor) -> np.ndarray:
    """Boxes and scores of persons, (n, 5), of the detector's output for an image (3, H, W)."""
    height, width = image.shape[1:]
    persons = output['labels'] == _PERSON
    size = output['boxes'].new_tensor([width, height, width, height])
    boxes = (output['boxes'][persons] / size).clamp(0, 1)
    return torch.cat([boxes, output['scores'][persons, None]], dim=1).cpu().numpy()
