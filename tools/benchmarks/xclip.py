"""Compare X-CLIP with transformers' ``XCLIPModel``: ``python tools/benchmarks/xclip.py``.

Both have the same random weights, use scaled-dot-product attention and encode the texts once
(``XCLIPModel`` would encode them at every call). The two take turns. Printed are the median seconds
of each, and the speed-up: the median of the ratios of neighbouring measurements. A training step is
forward and backward of everything but the text side, which the recipe freezes.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from mmengine.registry import init_default_scope
from torch import Tensor, nn

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.measure import describe_machine, measure_seconds
from mmstan.cli import add_measured_device, at_least, one_line_errors
from mmstan.methods.xclip import checkpoints_hf as xclip_hf
from mmstan.models.features import TextFeatures
from mmstan.registry import MODELS

SIZES = dict(
    tiny=dict(width=192, layers=2, patch=16, dim=128, text=64),
    b32=dict(width=768, layers=12, patch=32, dim=512, text=512),
    b16=dict(width=768, layers=12, patch=16, dim=512, text=512),
    l14=dict(width=1024, layers=24, patch=14, dim=768, text=768),
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--tower', choices=SIZES, default='b16')
    parser.add_argument('--clips', type=at_least(1), default=2, help='clips in a batch')
    parser.add_argument('--frames', type=at_least(1), default=8)
    parser.add_argument('--size', type=at_least(1), default=224, help='side in pixels')
    parser.add_argument('--classes', type=at_least(1), default=400)
    parser.add_argument('--repeats', type=at_least(1), default=5)
    parser.add_argument('--threads', type=at_least(1), default=torch.get_num_threads())
    add_measured_device(parser, default='cpu')
    parser.add_argument('--bf16', action='store_true', help='autocast to bfloat16')
    parser.add_argument('--compile', action='store_true', help='torch.compile both')
    return parser.parse_args()


def theirs(args: argparse.Namespace) -> transformers.XCLIPModel:
    """``XCLIPModel`` of transformers with random weights, in the sizes of ``args.tower``."""
    s = SIZES[args.tower]
    dim, width = s['dim'], s['width']
    vision = dict(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=s['layers'],
        num_attention_heads=width // 64, patch_size=s['patch'], image_size=args.size,
        num_frames=args.frames, mit_hidden_size=dim, mit_intermediate_size=4 * dim,
        mit_num_attention_heads=dim // 64,
    )  # fmt: skip
    text = dict(
        hidden_size=s['text'], intermediate_size=4 * s['text'], num_hidden_layers=1,
        num_attention_heads=s['text'] // 64,
    )  # fmt: skip
    config = transformers.XCLIPConfig(
        text_config=text, vision_config=vision, projection_dim=dim,
        prompt_num_attention_heads=dim // 64, attn_implementation='sdpa',
    )  # fmt: skip
    return transformers.XCLIPModel(config)


def ours(args: argparse.Namespace) -> nn.Module:
    """The X-CLIP recognizer of mmstan in the same sizes."""
    s = SIZES[args.tower]
    vision_cfg = dict(
        image_size=args.size, patch_size=s['patch'], width=s['width'], layers=s['layers']
    )
    text_cfg = dict(
        context_length=77, vocab_size=49408, width=s['text'], heads=s['text'] // 64, layers=1
    )
    sizes = dict(embed_dim=s['dim'], quick_gelu=True, vision_cfg=vision_cfg, text_cfg=text_cfg)
    neck = dict(
        type='mmstan.MultiFrameIntegration', width=s['dim'], num_frames=args.frames,
        heads=s['dim'] // 64,
    )  # fmt: skip
    head = dict(
        type='mmstan.PromptedTextHead',
        class_names=[f'class {i}' for i in range(args.classes)],
        text_tower=dict(type='mmstan.TextTower', model=sizes),
    )  # fmt: skip
    backbone = dict(type='mmstan.XCLIP', tower=dict(type='mmstan.ImageTower', model=sizes))
    recognizer = dict(type='mmaction.Recognizer3D', backbone=backbone, neck=neck, cls_head=head)
    return MODELS.build(recognizer)


def pair(args: argparse.Namespace) -> dict[str, tuple[nn.Module, Callable[[Tensor], Tensor]]]:
    """Name -> model and its scoring function: clips (N, 3, T, H, W) -> scores (N, K)."""
    hf, own = theirs(args), ours(args)
    own.load_state_dict(xclip_hf.from_released(hf.state_dict()))
    hf.text_model.requires_grad_(False)
    hf.text_projection.requires_grad_(False)
    hf.logit_scale.requires_grad_(False)
    hf, own = hf.to(args.device), own.to(args.device)
    # Both get the same text features: theirs before, ours after the text projection.
    texts = torch.randn(args.classes, SIZES[args.tower]['text'], device=args.device)
    with torch.no_grad():
        sentences = hf.text_projection(texts)
    mask = torch.ones(len(texts), 1, dtype=torch.bool, device=args.device)
    hf.text_model = _Constant((None, texts))
    own.cls_head.texts = _Constant(TextFeatures(sentences[:, None], sentences, mask))
    ids = torch.zeros(1, 1, dtype=torch.long, device=args.device)
    run = torch.compile(own.backbone) if args.compile else own.backbone
    hf_run = torch.compile(hf) if args.compile else hf

    def score(clip: Tensor) -> Tensor:
        return own.cls_head(own.neck(run(clip))[0])

    def hf_score(clip: Tensor) -> Tensor:
        return hf_run(input_ids=ids, pixel_values=clip.transpose(1, 2)).logits_per_video

    return {'transformers': (hf, hf_score), 'mmstan': (own, score)}


class _Constant(nn.Module):
    """A module that ignores its inputs and returns ``value``."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.holder = SimpleNamespace(value=value)

    def forward(self, *_: Any, **__: Any) -> Any:
        """Return the value."""
        return self.holder.value


def times(
    args: argparse.Namespace,
    models: dict[str, tuple[nn.Module, Callable[[Tensor], Tensor]]],
    clip: Tensor,
    *,
    train: bool,
) -> dict[str, list[float]]:
    """Name -> seconds of each forward pass, or training step; the two models take turns."""
    labels = torch.zeros(len(clip), dtype=torch.long, device=clip.device)

    def step(name: str) -> None:
        model, score = models[name]
        model.zero_grad(set_to_none=True)
        with (
            torch.autocast(clip.device.type, torch.bfloat16, enabled=args.bf16),
            torch.set_grad_enabled(train),
        ):
            scores = score(clip)
        if train:
            F.cross_entropy(scores.float(), labels).backward()
        if clip.is_cuda:
            torch.cuda.synchronize()

    found: dict[str, list[float]] = {name: [] for name in models}
    for name, (model, _) in models.items():
        model.train(train)
        step(name)
    for i in range(args.repeats):  # the order of the two alternates
        for name in list(models)[:: 1 if i % 2 else -1]:
            found[name].append(measure_seconds(lambda name=name: step(name)))
    return found


def main() -> None:
    """Compare and print."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    init_default_scope('mmaction')
    models = pair(args)
    clip = torch.randn(args.clips, 3, args.frames, args.size, args.size, device=args.device)
    with torch.no_grad():
        a, b = (score(clip) for _, score in models.values())
    mode = f'{"compiled" if args.compile else "eager"}, {"bf16" if args.bf16 else "fp32"}'
    print(
        f'{describe_machine(args.device)}, {args.threads} threads, '
        f'transformers {transformers.__version__}, {mode}'
    )
    print(
        f'{args.tower}, {args.clips} clips of {args.frames} x {args.size} x {args.size}, '
        f'{args.classes} classes; largest difference of scores {(a - b).abs().max():.1e}'
    )
    for train in (False, True):
        found = times(args, models, clip, train=train)
        medians = {name: statistics.median(values) for name, values in found.items()}
        ratio = statistics.median(x / y for x, y in zip(*found.values()))
        line = ', '.join(f'{name} {value:.3f} s' for name, value in medians.items())
        print(f'{"training step" if train else "forward":14} {line}: {ratio:.2f} times faster')


if __name__ == '__main__':
    with one_line_errors():
        main()
