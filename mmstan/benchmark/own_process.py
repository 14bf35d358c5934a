"""Figures that a process of its own measures."""

from __future__ import annotations

import json
import re
import subprocess
import sys


def run_own_process(*arguments: str) -> dict[str, float]:
    """The JSON that is the last line of what a fresh Python process prints.

    Args:
        *arguments: Of Python: a script, or ``-m`` and a module, and their options.

    Raises:
        ValueError: It failed; the message is the last error that it printed.
    """
    command = [sys.executable, '-W', 'ignore', *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(find_last_error(done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


def find_last_error(text: str) -> str:
    """The line of a program's output that says why it failed."""
    lines = text.strip().splitlines() or ['killed']
    errors = [line for line in lines if re.match(r'error:|[\w.]*(Error|Exception)(:|$)', line)]
    return (errors or lines)[-1]
