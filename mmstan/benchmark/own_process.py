"""Run a measurement in its own process and read its figures."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys


def run_own_process(*arguments: str) -> dict[str, float]:
    """Run a fresh Python process; returns its last line of output, read as JSON.

    Args:
        *arguments: Arguments of Python: a script, or ``-m`` and a module, then their options.

    Raises:
        ValueError: The process failed; the message is the last error that it printed.
    """
    command = [sys.executable, '-W', 'ignore', *arguments]
    # A whole traceback: one_line_errors of the calling command shortens the error once.
    environment = dict(os.environ, MMSTAN_TRACEBACK='1')
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise ValueError(find_last_error(done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


def find_last_error(text: str) -> str:
    """The last error line of a program's output; without one, its last line."""
    lines = text.strip().splitlines() or ['killed']
    errors = [line for line in lines if re.match(r'error:|[\w.]*(Error|Exception)(:|$)', line)]
    return (errors or lines)[-1]
