"""Arguments of the classes that a config names."""

from typing import Any

import pytest
import torch
from mmengine.hooks import Hook

from mmstan.config.types import find_arguments


class HandsOn(Hook):
    def __init__(self, first: int, **kwargs: Any) -> None:
        self.second = kwargs.pop('second', 1)
        super().__init__(**kwargs)


class KeepsTheRest(Hook):
    def __init__(self, first: int, **kwargs: Any) -> None:
        self.rest = kwargs


class PassesOver(Hook):
    def __init__(self, first: int, **kwargs: Any) -> None:
        pass


@pytest.mark.parametrize(
    ('cls', 'names', 'more'),
    [
        (HandsOn, {'first', 'second'}, False),
        (KeepsTheRest, {'first'}, True),
        (PassesOver, {'first'}, False),
        (torch.nn.Linear, {'in_features', 'out_features', 'bias', 'device', 'dtype'}, False),
    ],
)
def test_arguments(cls: type, names: set[str], more: bool) -> None:
    assert find_arguments(cls) == (names, more)
