"""Speed and memory of a chat: ``python tools/benchmarks/chat.py [ENGINE --branch FILE]``.

Without an engine it is a tiny one with random weights. Prints seconds to encode a video (tower and
branch, once a video), new tokens a second and peak memory of an answer, on frames of noise.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.measure import describe_machine, measure_peak_memory, measure_seconds
from mmstan.chat import VideoChat
from mmstan.chat.toy.engine import build_engine, save_engine
from mmstan.chat.toy.questions import QUESTIONS, WORDS
from mmstan.chat.toy.setup import VISION
from mmstan.cli import at_least, one_line_errors
from mmstan.engine.console import keep_console_short
from mmstan.methods.stan import STAN
from mmstan.wording import markdown_table


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('engine', nargs='?', help='a LLaVA; default: a tiny one')
    parser.add_argument('--branch', help='checkpoint of a branch; default: the tower alone')
    parser.add_argument('--frames', type=at_least(1), default=12)
    parser.add_argument('--new-tokens', type=at_least(2), default=64)
    parser.add_argument('--repeats', type=at_least(1), default=3)
    parser.add_argument('--quantize', choices=['4bit', '8bit'])
    return parser.parse_args()


def make_tiny(folder: Path) -> tuple[str, str]:
    """A tiny engine and a branch for it, in a folder."""
    model, processor = build_engine(vision=VISION, words=WORDS, positions=512)
    save_engine(folder / 'engine', model, processor)
    sizes = dict(image_size=32, patch_size=8, layers=4, width=64, head_width=16)
    tower = dict(type='mmstan.ImageTower', model=dict(embed_dim=16, vision_cfg=sizes))
    backbone = STAN(tower, levels=(2, 3, 4))
    branches = {k: v for k, v in backbone.state_dict().items() if k.startswith('branches.')}
    torch.save(branches, folder / 'branch.pth')
    return str(folder / 'engine'), str(folder / 'branch.pth')


def measure(chat: VideoChat, args: argparse.Namespace) -> list[str]:
    """Cells of the table's row: encoding, tokens a second, memory, the medians of repeats."""
    device = 'cpu' if chat.engine.model.device.type == 'cpu' else 'cuda'
    side = chat.encoder.backbone.tower.own_grid[0] * 16
    video = np.random.default_rng(0).integers(0, 255, (args.frames, side, side, 3), np.uint8)
    question = QUESTIONS['which way']
    # The end-of-text token is not chosen, so that every answer has as many tokens.
    options = dict(temperature=0, max_new_tokens=args.new_tokens, min_new_tokens=args.new_tokens)
    tokens = chat.encode(video)
    chat.answer(tokens, [question], **options)  # the first call of a size is slower

    def repeat(function: object) -> float:
        seconds = [measure_seconds(function, device=device) for _ in range(args.repeats)]
        return float(np.median(seconds))

    encode = repeat(lambda: chat.encode(video))
    answer = repeat(lambda: chat.answer(tokens, [question], **options))
    peak = measure_peak_memory(lambda: chat.ask(video, question, **options), device=device)
    held = sum(
        x.numel() * x.element_size()
        for module in (chat.engine.model, chat.encoder.backbone)
        for x in module.parameters()
    )
    return [
        str(tokens.shape[1]),
        f'{encode:.3f}',
        f'{args.new_tokens / answer:.1f}',
        f'{held / 2**20:.1f}',
        f'{peak / 2**20:.1f}',
    ]


def main() -> None:
    """Measure."""
    args = parse_args()
    with one_line_errors(), keep_console_short(), tempfile.TemporaryDirectory() as folder:
        engine, branch = args.engine, args.branch
        if engine is None:
            engine, branch = make_tiny(Path(folder))
        chat = VideoChat.from_pretrained(
            engine,
            branch,
            branch_weight=0.5 if branch else 0,
            num_frames=args.frames,
            quantize=args.quantize,
        )
        device = 'cpu' if chat.engine.model.device.type == 'cpu' else 'cuda'
        head = [
            *('engine', 'tokens of a video', 'encode (s)', 'new tokens a second'),
            *('weights (MiB)', 'peak of an answer on top (MiB)'),
        ]
        name = args.engine or 'tiny, random'
        print(describe_machine(device))
        print(markdown_table(head, [[name, *measure(chat, args)]], align='lrrrrr'))


if __name__ == '__main__':
    main()
