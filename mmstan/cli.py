"""Parts that the commands share: options, their merging into a config, errors in one line."""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import torch
from mmengine.config import Config, DictAction

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.config.options import merge_options
from mmstan.config.paths import default_work_dir, is_checkpoint
from mmstan.datasets.readers.base import BrokenVideoError


class _Options(DictAction):
    """MMEngine's action for ``--cfg-options``; errors take one line, and values keep blanks."""

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
    """Make a parser with ``CONFIG``, optionally ``[CHECKPOINT]``, and the options of every run.

    Args:
        description: Text of ``--help``.
        checkpoint: Whether the command takes a checkpoint.
        launcher: Whether it runs distributed, with ``--launcher`` and ``--local_rank``.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    if checkpoint:
        parser.add_argument(
            'checkpoint',
            nargs='?',
            type=existing_checkpoint,
            help="checkpoint; default: the config's load_from, or its pretrained weights",
        )
    parser.add_argument('--work-dir', help='folder for logs and results')
    add_cfg_options(parser)
    parser.set_defaults(launcher='none', local_rank=0)
    if launcher:
        parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'])
        parser.add_argument('--local_rank', '--local-rank', type=int)
    return parser


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options`` to a parser."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        help='change settings of the config: key=value key.sub=value key="[a,b]"',
    )


def add_measured_device(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Add ``--device`` of a measurement, whose clocks and counters are of the process's first GPU.

    Args:
        parser: The parser.
        default: ``'cpu'`` or ``'cuda'``; None: the GPU if there is one.
    """
    parser.add_argument(
        '--device',
        type=_existing_device,
        choices=['cpu', 'cuda'],
        default=default or ('cuda' if torch.cuda.is_available() else 'cpu'),
        help='default: %(default)s; CUDA_VISIBLE_DEVICES chooses one of several GPUs',
    )


def _existing_device(text: str) -> str:
    if text == 'cuda' and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError('cuda: PyTorch sees no GPU')
    return text


def at_least(least: int) -> Callable[[str], int]:
    """Make an argparse ``type``: whole numbers, ``least`` or more."""

    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f'{text} is less than {least}')
        return int(text)

    return number


def share(text: str) -> float:
    """An argparse ``type``: a number between 0 and 1."""
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f'{text} is not between 0 and 1')
    return float(text)


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """Read the command line, or ``arguments``.

    Sets ``LOCAL_RANK`` for launchers that pass it as an option.
    """
    args = parser.parse_args(arguments)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def existing_checkpoint(path: str) -> str:
    """An argparse ``type``: the path of a checkpoint that exists."""
    if not is_checkpoint(path):
        raise argparse.ArgumentTypeError(f'there is no checkpoint {path}')
    return path


def merge_run_options(cfg: Config, args: argparse.Namespace) -> None:
    """Put launcher and work dir into the config."""
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config)


def merge_test_options(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the options of a command that uses a trained model into the config; returns it.

    Raises:
        ValueError: An option would change nothing, or ``load_from`` is another checkpoint.
    """
    merge_run_options(cfg, args)
    refuse_two_checkpoints(args.checkpoint, args.cfg_options)
    cfg.load_from = args.checkpoint or cfg.get('load_from')
    cfg.resume = False
    merge_options(cfg, args.cfg_options)
    return cfg


def refuse_two_checkpoints(given: str | None, options: Mapping[str, Any] | None) -> None:
    """Raise ValueError if ``--cfg-options load_from`` goes with the checkpoint ``given``."""
    start = (options or {}).get('load_from')
    if given and start:
        raise ValueError(
            f'{given} and --cfg-options load_from={start} name two checkpoints: leave one out'
        )


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Within, an error in a setting or a signal ends the program with a message of one line.

    SIGTERM and Ctrl-C give the usual exit statuses, 143 and 130. A training loop handles both
    signals itself. Names of files that are not UTF-8 can be printed.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == 'strict':
        sys.stdout.reconfigure(errors='backslashreplace')
    try:
        with _sigterm_raises():
            yield
    except (
        BrokenVideoError,
        ValueError,
        FloatingPointError,
        OSError,
        ImportError,
        SyntaxError,
    ) as error:
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


# Messages of gloo's errors; NCCL ends the process itself.
_PROCESS_LOST = re.compile(r'Timed out waiting \d+ms|Connection (?:closed|reset) by peer')
# A data loader may notice the end of its worker before this process gets its own signal.
_WORKER_STOPPED = re.compile(r'DataLoader worker .* is killed by signal: Terminated')


class _Terminated(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt, ``except Exception`` does not catch it."""


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    main = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        # A forked worker inherits this handler; it must not run the main process's clean-up.
        if os.getpid() != main:
            os._exit(128 + number)
        # The signal ends the workers of data loaders too; PyTorch would report that as an error.
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
