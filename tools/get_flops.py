"""Parameters and multiply-adds of a model: ``python tools/get_flops.py CONFIG``.

Two conventions stand side by side: with attention's matrix products, as most papers count, and
linear and convolution layers only, as the STAN papers do. 'nominal' is every token through every
layer; 'executed' is what runs for frame features, where outputs that nobody reads are left out.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.measure import MultiplyAdds, count_multiply_adds, count_parameters
from mmstan.registry import MODELS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Parameters and multiply-adds of a model')
    parser.add_argument('config', help='config file')
    parser.add_argument('--frames', type=int, help="frames of a clip; the test pipeline's")
    parser.add_argument('--size', type=int, help="pixels of a side; the test pipeline's crop")
    return parser.parse_args()


def find(node: Any, key: str) -> Any:
    """The first value of ``key`` in nested dicts and lists, or None."""
    if isinstance(node, dict) and key in node:
        return node[key]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return next((v for v in (find(child, key) for child in children) if v is not None), None)


def table(cfg: Config, frames: int, size: int) -> str:
    """The figures of ``cfg``'s model for one view of ``frames`` x ``size`` x ``size``."""
    model = cfg.model
    text_cfg = find(model.to_dict(), 'text_tower')
    with torch.device('meta'):
        backbone = MODELS.build(model.backbone).eval()
        neck = MODELS.build(model.neck).eval() if model.get('neck') else None
        text = MODELS.build(text_cfg).eval() if text_cfg else None
        clip = torch.empty(1, 3, frames, size, size)
    nominal = count_multiply_adds(backbone.tokens, clip)
    executed = count_multiply_adds(backbone, clip)
    video = [module for module in (backbone, neck) if module is not None]
    if neck is not None:
        with torch.no_grad():
            features = backbone(clip)
        nominal += count_multiply_adds(neck, features)
        executed += count_multiply_adds(neck, features)
    lines = [
        f'one view: {frames} frames of {size} x {size}',
        f'{"":24}{"nominal":>12}{"executed":>12}',
        _row('GMACs', nominal.total, executed.total),
        _row('GMACs, linear + conv', nominal.linear, executed.linear),
        _parameters('video side', *video),
    ]
    if text is not None:
        with torch.device('meta'):
            ids = torch.ones(1, text.context_length, dtype=torch.long)
        macs: MultiplyAdds = count_multiply_adds(text, ids)
        lines += [
            _parameters('text side', text),
            f'a text of {text.context_length} tokens: {macs.total / 1e9:.2f} GMACs',
        ]
    return '\n'.join(lines)


def _row(name: str, nominal: int, executed: int) -> str:
    return f'{name:24}{nominal / 1e9:12.2f}{executed / 1e9:12.2f}'


def _parameters(name: str, *modules: torch.nn.Module) -> str:
    total, trainable = count_parameters(*modules)
    return f'{name}: {total / 1e6:.2f} M parameters, {trainable / 1e6:.2f} M trainable'


def main() -> None:
    """Print the table."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.get('default_scope', 'mmaction'))
    pipeline = cfg.get('test_pipeline') or cfg.test_dataloader.dataset.pipeline
    frames = args.frames or find(pipeline, 'num_frames')
    size = args.size or find(pipeline, 'crop_size')
    if not frames or not size:
        raise SystemExit('the test pipeline does not say frames and crop size: --frames, --size')
    print(table(cfg, frames, size))


if __name__ == '__main__':
    main()
