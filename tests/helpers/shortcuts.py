"""Ways around slow functions of other packages that tests call hundreds of times."""

import ast
import functools
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import mmengine.config.config
import pytest
from mmengine.config import Config
from open_clip.tokenizer import SimpleTokenizer

CONFIGS = Path(__file__).parents[2] / 'configs'
Call = Callable[..., Any]


def install(patch: pytest.MonkeyPatch) -> None:
    """Until ``patch`` is undone: they take a third of the suite's time otherwise."""
    patch.setattr(Config, '_file2dict', staticmethod(_shipped_configs_once(Config._file2dict)))
    patch.setattr(mmengine.config.config, 'FormatCode', _parsed_only)
    patch.setattr(SimpleTokenizer, '__init__', _vocabularies_once(SimpleTokenizer.__init__))


def _shipped_configs_once(parse: Call) -> Call:
    """MMEngine writes each base of a config to a file and reads it again, every time."""
    parsed = functools.cache(parse)

    @functools.wraps(parse)
    def parse_once(filename: str, *args: Any, **kwargs: Any) -> Any:
        path = Path(filename).absolute()
        if CONFIGS not in path.parents:
            return parse(filename, *args, **kwargs)
        return deepcopy(parsed(str(path), *args, **kwargs))

    return parse_once


def _parsed_only(text: str, **_: Any) -> tuple[str, bool]:
    """YAPF sets out a config five times a run; what counts is that it is Python, or it raises."""
    ast.parse(text)
    return text, False


def _vocabularies_once(init: Call) -> Call:
    """The byte pairs of CLIP's tokenizer, and what it found out about words."""

    @functools.cache
    def attributes(*args: Any, **kwargs: Any) -> dict[str, Any]:
        tokenizer = object.__new__(SimpleTokenizer)
        init(tokenizer, *args, **kwargs)
        return vars(tokenizer)

    @functools.wraps(init)
    def init_once(self: SimpleTokenizer, *args: Any, **kwargs: Any) -> None:
        vars(self).update(attributes(*args, **kwargs))

    return init_once
