"""Print and draw the features that a model's layers give for videos."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import Tensor
from tqdm import tqdm

from mmstan.apis.cam_clips import cut_padding, preprocess_first_view, refuse_broken
from mmstan.apis.inputs import show_first_view
from mmstan.apis.load import build_runner, load_weights
from mmstan.config.checks import check_config
from mmstan.models.backbones import VideoBackbone
from mmstan.visualization import (
    collect_layer_tokens,
    draw_activations,
    draw_cka,
    group_layers,
    keep_same_frames,
    map_activations,
    pair_layers,
)
from mmstan.wording import markdown_table


class Layers:
    """The model of a config, its groups of layers, and the videos of its test set."""

    def __init__(self, cfg: Config, extra: dict[str, str]) -> None:
        self.model = load_model_of_layers(cfg, splits=('test',))
        self.backbone: Any = self.model.backbone
        self.dataset: Any = Runner.build_dataloader(cfg.test_dataloader).dataset
        self.groups = group_layers(self.backbone, extra)

    def sample(self, index: int) -> dict[str, Any]:
        """A video of the test set as the data set returns it, with ``inputs`` and ``data_samples``.

        Raises:
            ValueError: There is no such video, or it is broken.
        """
        if not 0 <= index < len(self.dataset):
            raise ValueError(f'video {index} must be 0 to {len(self.dataset) - 1}')
        sample = self.dataset[index]
        refuse_broken(sample, index)
        return sample

    def tokens(self, sample: dict[str, Any]) -> dict[str, list[Tensor]]:
        """Group -> output tokens of each of its layers for the first view, (1, T', L, C)."""
        clip, _ = preprocess_first_view(self.model, sample)
        return collect_layer_tokens(self.backbone, clip, self.groups)


def load_model_of_layers(cfg: Config, *, splits: tuple[str, ...]) -> Any:
    """The model of a config with its weights, in evaluation mode.

    Args:
        cfg: The config of a run.
        splits: Which data are needed, see :func:`~mmstan.config.checks.check_config`.

    Raises:
        ValueError: The backbone is none of mmstan.
    """
    check_config(cfg, splits=splits)
    model: Any = build_runner(cfg).model.eval()
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, VideoBackbone):
        raise ValueError(
            f'{cfg.filename}: backbone {type(backbone).__name__} is none of mmstan, whose tokens '
            'are known'
        )
    load_weights(model, cfg)
    return model


def show_cka(layers: Layers, *, videos: int, patches: int, path: Path) -> None:
    """Draw and print the CKA of all layers, on the same patches of every video's real frames.

    Args:
        layers: Model and videos.
        videos: Number of videos, spread evenly over the test set.
        patches: Number of patches in total, an equal share from each video.
        path: The picture's path, ``.png``.

    Raises:
        ValueError: There are fewer patches than videos.
    """
    chosen = np.linspace(0, len(layers.dataset) - 1, min(videos, len(layers.dataset))).astype(int)
    if patches < len(chosen):
        raise ValueError(f'--patches {patches} of {len(chosen)} videos: give at least one a video')
    generator = torch.Generator().manual_seed(0)
    rows = defaultdict(list)
    for index in tqdm(chosen.tolist(), desc='videos', disable=None):
        sample = layers.sample(index)
        mask, tokens = sample['data_samples'].get('frame_mask'), layers.tokens(sample)
        real = None if mask is None else torch.as_tensor(mask)
        if len(tokens) > 1:
            del tokens['output']  # computed from the last layers, which are shown themselves
        places = None  # drawn at the video's first layer, then used for all of its layers
        for name, group in keep_same_frames(tokens).items():
            for number, x in enumerate(group):
                x = cut_padding(x[0], real).flatten(0, 1)  # (T*L, C)
                if places is None:
                    places = torch.randperm(len(x), generator=generator)[: patches // len(chosen)]
                rows[name, number].append(x[places].float().cpu())
    # The patches of all videos below each other, a matrix (patches, C) per layer.
    features = defaultdict(list)
    for (name, _), parts in rows.items():
        features[name].append(torch.cat(parts))
    matrix = draw_cka(path, features)
    print(format_layers(pair_layers(matrix, {name: len(x) for name, x in features.items()})))


def format_layers(lines: dict[str, np.ndarray]) -> str:
    """Markdown: a row per layer, a column per pair of groups; ``''`` without pairs."""
    depth = max(map(len, lines.values()), default=0)
    rows = [[str(i + 1), *(f'{line[i]:.3f}' for line in lines.values())] for i in range(depth)]
    return markdown_table(['layer', *lines], rows) if lines else ''


def show_activations(layers: Layers, index: int, path: Path) -> None:
    """Draw the activations of each group's last layer in a video."""
    sample = layers.sample(index)
    frames = show_first_view(sample['inputs']).numpy()
    grid = layers.backbone.tower.grid(sample['inputs'])
    tokens = layers.tokens(sample)
    maps = {name: map_activations(group[-1][0], grid) for name, group in tokens.items()}
    title = str(sample['data_samples'].get('filename', index))
    draw_activations(path, frames, maps, title=title)
