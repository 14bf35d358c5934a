"""Compiled parts: the same losses and gradients, the same names."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.scripts import script
from torch import Tensor, nn

from mmstan.engine.compiling import compile_model


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = nn.Linear(3, 3), nn.Linear(3, 3)
        self.text_tower = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x) * self.text_tower(x)).sum()


def test_compiled_parts_give_the_same() -> None:
    model, graphs = Model(), []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    def step() -> list[Tensor]:
        model.zero_grad(set_to_none=True)
        loss = model(torch.ones(2, 3))
        loss.backward()
        return [loss, *(p.grad for p in model.parameters())]

    names, right = list(model.state_dict()), step()
    compile_model(model, backend=backend)
    assert not graphs  # at the first step
    torch.testing.assert_close(step(), right)
    assert len(graphs) == 2  # the backbone's, the text tower's
    assert list(model.state_dict()) == names


def test_other_models_are_refused() -> None:
    with pytest.raises(ValueError, match='a Linear has neither backbone nor text_tower'):
        compile_model(nn.Linear(1, 1))


def test_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    train, done = script('train'), []
    runner = SimpleNamespace(model='a model', train=lambda: done.append('train'))
    monkeypatch.setattr(train, 'build_runner', lambda _, **__: runner)
    monkeypatch.setattr(train, 'compile_model', done.append)
    monkeypatch.setattr(train, 'check_config', lambda *_, **__: None)
    config = 'configs/baselines/clip_mean/k400_b16.py'
    for options in ([], ['--compile']):
        monkeypatch.setattr('sys.argv', ['train.py', config, *options])
        train.main()
    assert done == ['train', 'a model', 'train']
