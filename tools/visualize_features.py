"""See what layers make of videos: ``python tools/visualize_features.py CONFIG [CHECKPOINT]``.

* ``cka.png``: how alike the layers of the tower and those beside it see the same patches (centred
  kernel alignment, DiST Fig. 5a), also printed, layer by layer.
* ``activation_INDEX.png``: where the last layers are active in a video (DiST Fig. 5b).

Videos are those of the test set, the first view of each. Of backbones other than DiST and STAN the
tower's layers are shown, and what ``--layers NAME=EXPRESSION`` names: a regular expression of the
names of modules in the backbone. Pictures go to the work dir.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from torch import Tensor
from tqdm import tqdm

from mmstan.apis.load import build_runner, load_weights
from mmstan.cli import command, merge_test_options, one_line_errors, parse
from mmstan.config.checks import check_config
from mmstan.models.backbones import VideoBackbone
from mmstan.visualization import (
    activation_maps,
    activation_report,
    cka_report,
    layer_by_layer,
    layer_groups,
    layer_tokens,
    same_frames,
)
from mmstan.wording import markdown_table


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = command(__doc__, checkpoint=True, launcher=False)
    parser.add_argument('--videos', type=int, default=32, help='how many to compare layers on')
    parser.add_argument('--patches', type=int, default=1024, help='how many, of all these videos')
    parser.add_argument(
        '--index', type=int, nargs='*', default=[0], help='videos whose activations are drawn'
    )
    parser.add_argument(
        '--layers', nargs='+', default=[], metavar='NAME=EXPRESSION', help='more layers to show'
    )
    args = parse(parser)
    if not all('=' in group for group in args.layers):
        parser.error(f'--layers {" ".join(args.layers)}: give NAME=EXPRESSION')
    return args


class Layers:
    """The layers of a config's model, and the videos of its test set."""

    def __init__(self, cfg: Config, extra: dict[str, str]) -> None:
        check_config(cfg, splits=('test',))
        self.model: Any = build_runner(cfg).model.eval()
        self.backbone: Any = getattr(self.model, 'backbone', None)
        if not isinstance(self.backbone, VideoBackbone):
            raise ValueError(
                f'{cfg.filename}: backbone {type(self.backbone).__name__} is none of mmstan, whose '
                'tokens are known'
            )
        load_weights(self.model, cfg)
        self.dataset: Any = Runner.build_dataloader(cfg.test_dataloader).dataset
        self.groups = layer_groups(self.backbone, extra)

    def sample(self, index: int) -> dict[str, Any]:
        """A video of the test set, packed.

        Raises:
            ValueError: There is no such video.
        """
        if not 0 <= index < len(self.dataset):
            raise ValueError(f'video {index} must be 0 to {len(self.dataset) - 1}')
        return self.dataset[index]

    def tokens(self, sample: dict[str, Any]) -> dict[str, list[Tensor]]:
        """Group -> what each of its layers gives for the first view, (1, T', L, C)."""
        first = dict(sample, inputs=sample['inputs'][:1])
        batch = self.model.data_preprocessor(pseudo_collate([first]), False)
        return layer_tokens(self.backbone, batch['inputs'][0], self.groups)


def compare(layers: Layers, *, videos: int, patches: int, path: Path) -> None:
    """Draw and print the CKA of all layers, on the same patches of every video."""
    chosen = np.linspace(0, len(layers.dataset) - 1, min(videos, len(layers.dataset))).astype(int)
    generator = torch.Generator().manual_seed(0)
    rows = defaultdict(list)
    for index in tqdm(chosen.tolist(), desc='videos', disable=None):
        tokens = layers.tokens(layers.sample(index))
        if len(tokens) > 1:
            del tokens['output']  # another sight of the last layers
        places = None
        for name, group in same_frames(tokens).items():
            for number, x in enumerate(group):
                x = x[0].flatten(0, 1)  # (T*L, C)
                if places is None:
                    places = torch.randperm(len(x), generator=generator)[: patches // len(chosen)]
                rows[name, number].append(x[places].float().cpu())
    features = defaultdict(list)
    for (name, _), parts in rows.items():
        features[name].append(torch.cat(parts))
    matrix = cka_report(path, features)
    print(table(layer_by_layer(matrix, {name: len(x) for name, x in features.items()})))


def table(lines: dict[str, np.ndarray]) -> str:
    """Markdown: a row for each layer, a column for each two groups."""
    depth = max(map(len, lines.values()), default=0)
    rows = [[str(i + 1), *(f'{line[i]:.3f}' for line in lines.values())] for i in range(depth)]
    return markdown_table(['layer', *lines], rows) if lines else ''


def draw(layers: Layers, index: int, path: Path) -> None:
    """Draw the last activations of each group in a video."""
    sample = layers.sample(index)
    frames = sample['inputs'][0].permute(1, 2, 3, 0).numpy()  # (3, T, H, W) -> (T, H, W, 3)
    grid = layers.backbone.tower.grid(sample['inputs'])
    tokens = layers.tokens(sample)
    maps = {name: activation_maps(group[-1][0], grid) for name, group in tokens.items()}
    title = str(sample['data_samples'].get('filename', index))
    activation_report(path, frames, maps, title=title)


def main() -> None:
    """Compare and draw."""
    args = parse_args()
    with one_line_errors():
        cfg = merge_test_options(Config.fromfile(args.config), args)
        layers = Layers(cfg, dict(group.split('=', 1) for group in args.layers))
        folder = Path(cfg.work_dir)
        compare(layers, videos=args.videos, patches=args.patches, path=folder / 'cka.png')
        for index in args.index:
            draw(layers, index, folder / f'activation_{index}.png')
    print(f'Pictures: {folder}/*.png')


if __name__ == '__main__':
    main()
