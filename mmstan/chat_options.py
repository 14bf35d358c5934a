"""Options that the chat's commands share."""

from __future__ import annotations

import argparse
from typing import Any, get_args

from mmstan.chat.video_chat import VideoChat
from mmstan.chat.video_tokens import ClassPlace, Pool
from mmstan.cli import at_least


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add ENGINE, the branch, the frames, and the settings of generation."""
    parser.add_argument('engine', help='a LLaVA with a CLIP tower: name on the hub, or folder')
    parser.add_argument('--branch', help='checkpoint of STAN, Mug-STAN or BT-Adapter')
    parser.add_argument(
        '--branch-weight', type=float, default=0.5, help='its share; 0: none; default: 0.5'
    )
    parser.add_argument(
        '--frames', type=at_least(1), default=12, help='of a video; default: 12, the table has 64'
    )
    parser.add_argument(
        '--levels',
        type=int,
        nargs='+',
        help='blocks that the branch reads; default: the last ones',
    )
    parser.add_argument('--pool', choices=get_args(Pool), default='mean')
    parser.add_argument(
        '--class-token', choices=get_args(ClassPlace), help="default: the engine's own setting"
    )
    parser.add_argument('--temperature', type=float, default=0.2, help='0: greedy; default: 0.2')
    parser.add_argument('--max-new-tokens', type=at_least(1), default=1024, help='default: 1024')
    parser.add_argument('--seed', type=int, help='of sampling')
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        '--4bit',
        dest='quantize',
        action='store_const',
        const='4bit',
        help='by bitsandbytes',
    )
    size.add_argument('--8bit', dest='quantize', action='store_const', const='8bit')
    parser.add_argument('--dtype', default='auto', help='float16, bfloat16, float32; default: auto')
    parser.add_argument('--device-map', default='auto', help="default: auto; 'none': on the CPU")
    parser.add_argument('--local', action='store_true', help='do not ask the network')


def load_chat(args: argparse.Namespace) -> VideoChat:
    """The chat of a command's options."""
    return VideoChat.from_pretrained(
        args.engine,
        args.branch,
        branch_weight=args.branch_weight,
        num_frames=args.frames,
        levels=args.levels,
        pool=args.pool,
        class_token=args.class_token,
        dtype=args.dtype,
        device_map=None if args.device_map == 'none' else args.device_map,
        quantize=args.quantize,
        local_files_only=args.local,
    )


def choose_generation(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of generation among a command's options."""
    return dict(temperature=args.temperature, max_new_tokens=args.max_new_tokens, seed=args.seed)
