"""What the commands share: their options, the runner, errors in one line."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from mmengine.config import Config, DictAction

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.config.options import merge_options
from mmstan.config.paths import default_work_dir, is_checkpoint


class _Options(DictAction):
    """MMEngine's action, with an error in one line and values that keep their blanks."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Read ``key=value`` pairs."""
        for pair in values:
            key, equals, value = pair.partition('=')
            if not equals or not all(key.split('.')):
                parser.error(
                    f'--cfg-options {pair}: write KEY=VALUE, with a dotted key, e.g. '
                    'optim_wrapper.optimizer.lr=1e-5'
                )
            if value.count('(') != value.count(')') or value.count('[') != value.count(']'):
                parser.error(f'--cfg-options {pair}: a bracket is open')
        super().__call__(parser, namespace, values, option_string)

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        val = val.strip('\'"')
        if val[:1] in '[(' or ',' in val:
            return DictAction._parse_iterable(val)
        return DictAction._parse_int_float_bool(val)  # a path may have blanks in it


def command(
    description: str | None, *, checkpoint: bool = False, launcher: bool = True
) -> argparse.ArgumentParser:
    """A parser of ``CONFIG``, perhaps ``[CHECKPOINT]``, and the options of every run."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    if checkpoint:
        parser.add_argument(
            'checkpoint',
            nargs='?',
            type=existing_checkpoint,
            help="checkpoint; without one the config's load_from, or its pretrained weights",
        )
    parser.add_argument('--work-dir', help='where logs and results go')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        help='settings of the config to change: key=value key.sub=value key="[a,b]"',
    )
    parser.set_defaults(launcher='none', local_rank=0)
    if launcher:
        parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'])
        parser.add_argument('--local_rank', '--local-rank', type=int)
    return parser


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that is a number from ``least`` on."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f'{text} is less than {least}')
        return int(text)

    return number


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line; a launcher that names the rank there is heard."""
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def existing_checkpoint(path: str) -> str:
    """The type of an argument that is a checkpoint."""
    if not is_checkpoint(path):
        raise argparse.ArgumentTypeError(f'there is no checkpoint {path}')
    return path


def merge_run_options(cfg: Config, args: argparse.Namespace) -> None:
    """Put launcher and work dir into the config."""
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config)


def merge_test_options(cfg: Config, args: argparse.Namespace) -> Config:
    """Put what a test shares with other uses of a trained model into the config."""
    merge_run_options(cfg, args)
    cfg.load_from = args.checkpoint or cfg.get('load_from')
    cfg.resume = False
    merge_options(cfg, args.cfg_options)
    return cfg


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line: what is wrong with a setting, or which signal came.

    SIGTERM and Ctrl-C give the exit statuses that shells know, 143 and 130. A training loop hears
    them itself.
    """
    try:
        with _sigterm_raises():
            yield
    except (ValueError, FloatingPointError, OSError, ImportError, SyntaxError) as error:
        if os.environ.get('MMSTAN_TRACEBACK'):
            raise
        sys.exit(f'error: {error} (MMSTAN_TRACEBACK=1 shows where)')
    except KeyboardInterrupt:
        _exit_by(signal.SIGINT)
    except _Terminated:
        _exit_by(signal.SIGTERM)
    except RuntimeError as error:
        if _WORKER_STOPPED.search(str(error)):
            _exit_by(signal.SIGTERM)
        lost = _PROCESS_LOST.search(str(error))
        if lost is None or os.environ.get('MMSTAN_TRACEBACK'):
            raise
        sys.exit(
            f'error: rank {os.environ.get("RANK", 0)}: another process of this job has ended or '
            f'does not answer ({lost[0]}); its own output says why. Processes wait '
            f'env_cfg.dist_cfg.timeout seconds for each other (MMSTAN_TRACEBACK=1 shows where)'
        )


# What gloo raises; NCCL ends the process itself.
_PROCESS_LOST = re.compile(r'Timed out waiting \d+ms|Connection (?:closed|reset) by peer')
# A data loader that noticed the end of its worker before this process has seen its own signal.
_WORKER_STOPPED = re.compile(r'DataLoader worker .* is killed by signal: Terminated')


class _Terminated(BaseException):
    """SIGTERM; like KeyboardInterrupt nothing that handles errors catches it."""


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    main = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != main:
            os._exit(128 + number)
        # Workers of data loaders end too; that is no error of theirs any more.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _exit_by(number: signal.Signals) -> NoReturn:
    print(f'stopped by {number.name}', file=sys.stderr)
    sys.exit(128 + number)
