"""Ask videos of Moving Shapes, without a download: ``python tools/chat_toy.py``.

A language model of two layers, inside a real LLaVA, learns to answer three questions about a video
behind the frozen STAN of the quickstart: with the frames' mean alone (w = 0) and with the branch
(w = 0.5), three seeds each. Reversing the frames changes the answer to the first question alone, so
a model that cannot see their order has at most half of those right.

Second half: a language model that learned without the branch gets one, and nothing is tuned. Tables
and a picture go to ``work_dirs/chat_toy``. Finished runs are not repeated; about six minutes on
two cores behind ``make quickstart``, whose STAN is trained if it is not there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.measure import describe_machine
from mmstan.benchmark.quickstart import OUT, SYSTEMS
from mmstan.benchmark.runs import find_last_checkpoint, train_and_test
from mmstan.chat.toy.run import STEPS, WEIGHTS, ChatToy, format_learning, format_replacement
from mmstan.cli import at_least, one_line_errors
from mmstan.config.paths import find_shipped
from mmstan.datasets.moving_shapes import generate


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--checkpoint', help="a quickstart STAN; default: the quickstart's own")
    parser.add_argument('--seed', type=int, nargs='+', default=[0, 1, 2], help='default: 0 1 2')
    parser.add_argument('--steps', type=at_least(1), default=STEPS, help=f'default: {STEPS}')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/chat_toy'))
    return parser.parse_args()


def find_checkpoint() -> str:
    """The checkpoint of the quickstart's STAN, trained if it is not there."""
    stem = SYSTEMS['STAN']
    train_and_test(find_shipped('configs') / f'quickstart/{stem}.py', OUT / stem)
    return find_last_checkpoint(OUT / stem)


def main() -> None:
    """Train, ask, print the tables."""
    args = parse_args()
    with one_line_errors():
        data = generate(size='small', tasks=['recognition']) / 'recognition'
        toy = ChatToy(args.checkpoint or find_checkpoint(), data, args.out, steps=args.steps)
        runs = {}
        for seed in args.seed:
            for weight in WEIGHTS:
                runs[weight, seed] = toy.run(weight, seed)
                right = runs[weight, seed]['right']
                shares = ', '.join(f'{name} {share:.1f} %' for name, share in right.items())
                print(f'w = {weight:g}, seed {seed}: {shares}', flush=True)
        replaced = toy.replace(args.seed[0])
        tables = [
            f'Right answers in per cent, {toy.steps} steps\n\n{format_learning(runs)}',
            'A branch plugged into a model that learned without one\n\n'
            + format_replacement(replaced),
        ]
        (args.out / 'table.md').write_text('\n\n'.join(tables) + '\n')
        figures = dict(
            machine=describe_machine(),
            steps=toy.steps,
            runs=[dict(w=w, seed=seed, right=run['right']) for (w, seed), run in runs.items()],
            replacement=replaced,
        )
        (args.out / 'results.json').write_text(json.dumps(figures, indent=1) + '\n')
        toy.draw(args.out / 'chat.png', args.seed[0])
    print('', *tables, sep='\n\n')
    print(f'\nPicture: {args.out / "chat.png"}')


if __name__ == '__main__':
    main()
