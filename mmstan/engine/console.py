"""Fewer lines on the console; the log file keeps all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

MOST_LINES = 10
_NOISE = ('"FileClient" will be deprecated',)  # MMEngine's own hooks use it


class ShortConsole(logging.Filter):
    """Keeps long texts (environment, hooks, config) and MMEngine's own noise off the console."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to print a record."""
        text = record.getMessage()
        long = record.levelno <= logging.INFO and text.count('\n') >= MOST_LINES
        return not long and not any(noise in text for noise in _NOISE)


@contextmanager
def short_console_of_runners() -> Iterator[None]:
    """Within, runners print short messages only; their log file has the others."""
    original = Runner.build_logger

    def build_logger(self: Any, *args: Any, **kwargs: Any) -> MMLogger:
        logger = original(self, *args, **kwargs)
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                logger.info(f'log file: {handler.baseFilename}')
            else:
                handler.addFilter(ShortConsole())
        return logger

    Runner.build_logger = build_logger  # type: ignore[method-assign]
    try:
        yield
    finally:
        Runner.build_logger = original  # type: ignore[method-assign]


@contextmanager
def keep_console_short() -> Iterator[None]:
    """Within, logs below a warning are not printed."""
    if MMLogger.check_instance_created('mmstan'):
        yield
        return
    logger = MMLogger.get_instance('mmstan', logger_name='mmstan', log_level='WARNING')
    for handler in logger.handlers:
        handler.setFormatter(logging.Formatter('%(levelname)s: %(message)s'))
    yield
