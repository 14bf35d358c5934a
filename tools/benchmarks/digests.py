"""Print digests of the numbers that a refactoring must keep.

Run it on two commits, each in its own checkout, and compare the two outputs:

    python tools/benchmarks/digests.py --checkout ../before > before.txt
    python tools/benchmarks/digests.py > after.txt
    diff before.txt after.txt

``flops`` covers the output of ``tools/get_flops.py`` for every config below ``configs``. ``losses``
covers the losses, gradient norms and accuracies, to the last digit, of a seeded run of two epochs
of the tiny form of one config per method.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

METHODS = (
    'baselines/actionclip/k400_b16',
    'baselines/actionclip/k400_b16_conv',
    'baselines/actionclip/k400_b16_shift',
    'baselines/clip_mean/k400_b16',
    'baselines/divided_space_time/k400_b16',
    'baselines/evl/k400_b16',
    'baselines/hunyuan_like/msrvtt_b32',
    'baselines/joint_space_time/k400_b16',
    'baselines/message_token/k400_b16',
    'baselines/patch_3d/k400_b16',
    'baselines/seq_lstm/msrvtt_b32',
    'baselines/seq_transformer/msrvtt_b32',
    'baselines/st_adapter/k400_b16',
    'baselines/temporal_difference/msrvtt_b32',
    'baselines/tight_transformer/msrvtt_b32',
    'baselines/wti/msrvtt_b32',
    'dist/k400_b16_8f',
    'mug_stan/msrvtt_b32',
    'stan/k400_b16',
    'xclip/k400_b16',
)
"""One config per method, below ``configs``."""


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--checkout', type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument('--flops-only', action='store_true', help='without training')
    parser.add_argument('--one', help=argparse.SUPPRESS)  # print the flops of these configs
    return parser.parse_args()


def digest(text: str) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def print_flops(checkout: Path) -> None:
    """Run ``tools/get_flops.py`` on every config in one process and print digests."""
    os.chdir(checkout)
    script = str(checkout / 'tools/get_flops.py')
    sys.path.insert(0, str(checkout / 'tools'))
    configs = sorted(Path('configs').rglob('*.py'))
    for config in configs:
        if '_base_' in config.parts:
            continue
        sys.argv = [script, str(config)]
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                runpy.run_path(script, run_name='__main__')
        except (Exception, SystemExit) as error:  # the message is compared too
            printed.write(f'{type(error).__name__}: {error}')
        lines = [
            x for x in printed.getvalue().splitlines() if ' - mmengine - ' not in x
        ]  # no dates
        print(f'flops  {config}  {digest(chr(10).join(lines))}', flush=True)


def train(checkout: Path, name: str, folder: Path) -> str:
    """Train a config's tiny form for two epochs; returns the logged numbers as one JSON text."""
    command = [sys.executable, '-W', 'ignore', 'tools/train.py', f'configs/{name}.py', '--tiny']
    command += ['--seed', '0', '--work-dir', str(folder), '--cfg-options']
    command += ['train_cfg.max_epochs=2', 'default_hooks.logger.interval=1']
    environment = dict(os.environ, PYTHONPATH=str(checkout), OMP_NUM_THREADS='1')
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f'{name}: {done.stderr.strip().splitlines()[-1]}')
    lines = next(folder.parent.rglob(f'{folder.name}*/*/vis_data/scalars.json')).read_text()
    kept = []
    for line in map(json.loads, lines.splitlines()):
        timed = ('time', 'data_time', 'memory', 'eta')
        kept.append({key: value for key, value in line.items() if key not in timed})
    return json.dumps(kept, sort_keys=True)


def main() -> None:
    """Print one line per config."""
    args = parse_args()
    checkout = args.checkout.resolve()
    if args.one:
        print_flops(checkout)
        return
    environment = dict(os.environ, PYTHONPATH=str(checkout))
    # In its own process, so that it imports the modules of that checkout.
    command = [sys.executable, '-W', 'ignore', __file__, '--checkout', str(checkout), '--one', 'x']
    subprocess.run(command, env=environment, check=True)
    if args.flops_only:
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in METHODS:
            text = train(checkout, name, Path(folder, name.replace('/', '_')))
            print(f'losses {name}  {digest(text)}', flush=True)


if __name__ == '__main__':
    main()
