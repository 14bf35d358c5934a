"""Videos for maps: of files, of the test set, or the ones that fit a text best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from torch import Tensor

from mmstan.apis.description import find_pipeline
from mmstan.apis.inputs import SampleReader, Video, prepare_video, to_frames
from mmstan.apis.test_set import TestSet
from mmstan.datasets.moving_shapes.masks import find_colored_pixels, is_of_moving_shapes
from mmstan.models.video_text import make_clips


class Clip(NamedTuple):
    """The first view of a video."""

    name: str
    inputs: Tensor
    """Normalised frames (1, 3, T, H, W)."""
    samples: Sequence[Any]
    frames: Any
    """The real frames as pictures, (T, H, W, 3), uint8 RGB."""
    real: Tensor | None
    """Which of the T frames are real, (T,), or None for all."""
    shape: Tensor | None
    """Share of each patch that the moving shape covers, (T, h, w), where it is known."""


def find_videos(cfg: Config, indices: Sequence[int]) -> list[dict[str, Any]]:
    """Samples of the config's test set.

    Raises:
        ValueError: There is no such video, or it is broken.
    """
    dataset: Any = Runner.build_dataloader(cfg.test_dataloader).dataset
    for index in indices:
        if not 0 <= index < len(dataset):
            raise ValueError(f'video {index} must be 0 to {len(dataset) - 1}')
    samples = [dataset[index] for index in indices]
    for index, sample in zip(indices, samples):
        refuse_broken(sample, index)
    return samples


def refuse_broken(sample: dict[str, Any], index: int) -> None:
    """Raise ValueError for a sample that is black since its video is broken (``skip_broken``)."""
    broken = sample['data_samples'].metainfo.get('broken')
    if broken:
        name, reason = broken[0]
        raise ValueError(f'video {index}, {name}: {reason}; choose another one')


def read_videos(cfg: Config, videos: Sequence[Video], text: str | None) -> list[dict[str, Any]]:
    """Samples of video files by the config's test pipeline.

    Args:
        cfg: The config.
        videos: Paths.
        text: The caption, for a pipeline that packs one.
    """
    reader = SampleReader(find_pipeline(cfg, 'test'), workers=0, ahead=0)
    captions = {} if text is None else dict(captions=[text])
    return [reader.pipeline({**prepare_video(video), **captions}) for video in videos]


def find_best_videos(data: TestSet, text: str, top: int) -> list[dict[str, Any]]:
    """Samples of the ``top`` videos of a test set that fit a text best; prints their names."""
    with torch.no_grad():
        query = data.model.encode_texts([text])
    scores = torch.cat([block for _, block in data.scores(query)])[0].cpu()  # (B,)
    order = scores.argsort(descending=True, stable=True).tolist()[:top]
    for rank, video in enumerate(order, start=1):
        print(f'{rank:>5}. {data.names[video]}  {scores[video]:.4f}')
    return [data.dataset[data.numbers[video]] for video in order]


def preprocess_first_view(model: Any, sample: dict[str, Any]) -> tuple[Tensor, Sequence[Any]]:
    """Normalised frames (1, 3, T, H, W) of a sample's first view, and its data samples."""
    if sample['inputs'].ndim > 4:  # with FormatShape('NCHW') there is one view, (T, 3, H, W)
        sample = dict(sample, inputs=sample['inputs'][:1])
    batch = model.data_preprocessor(pseudo_collate([sample]), False)
    return make_clips(batch['inputs']), batch['data_samples']


def prepare_clip(model: Any, sample: dict[str, Any]) -> Clip:
    """The first view of a sample for a model; prints if there are more."""
    if sample['inputs'].ndim > 4 and (views := len(sample['inputs'])) > 1:
        print(f'{views} views of the video: the first is shown')
    inputs, samples = preprocess_first_view(model, sample)
    packed, frames = sample['data_samples'], to_frames(sample)
    name, mask = packed.get('filename'), packed.get('frame_mask')
    shape = None
    if isinstance(name, str) and is_of_moving_shapes(name):
        shape = share_patches(find_colored_pixels(frames), model.backbone.tower.grid(inputs))
    return Clip(
        str(name if name is not None else 'video'),
        inputs,
        samples,
        frames,
        None if mask is None else torch.as_tensor(mask, device=inputs.device),
        shape if shape is not None and shape.any() else None,
    )


def share_patches(pixels: Any, grid: tuple[int, int]) -> Tensor:
    """Pixels (T, H, W), bool -> share of each patch that they cover, (T, h, w)."""
    return F.adaptive_avg_pool2d(torch.as_tensor(pixels).float()[:, None], grid)[:, 0]


def cut_padding(maps: Tensor, real: Tensor | None) -> Tensor:
    """The maps (T', h, w), or tokens (T', L, C), of real frames; T' divides their number T."""
    return maps if real is None else maps[real[:: len(real) // len(maps)]]
