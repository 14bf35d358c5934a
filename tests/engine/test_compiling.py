"""Compiled parts: the same losses and gradients, the same names."""

from collections.abc import Callable
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.detection import make_detector
from helpers.retrieval_models import build
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


class Collector:
    """A backend that runs each graph as it is, and keeps it."""

    def __init__(self) -> None:
        self.graphs: list[torch.fx.GraphModule] = []

    def __call__(self, graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        self.graphs.append(graph)
        return graph.forward


def test_compiled_parts_give_the_same() -> None:
    model, backend = Model(), Collector()

    def step() -> list[Tensor]:
        model.zero_grad(set_to_none=True)
        loss = model(torch.ones(2, 3))
        loss.backward()
        return [loss, *(p.grad for p in model.parameters())]

    names, right = list(model.state_dict()), step()
    compile_model(model, backend=backend)
    assert not backend.graphs  # at the first step
    torch.testing.assert_close(step(), right)
    assert len(backend.graphs) == 2  # the backbone's, the text tower's
    assert list(model.state_dict()) == names


def make_token_wise() -> Any:
    mug = dict(type='mmstan.RetrievalHead', interaction=dict(type='mmstan.Mug', video='tokens'))
    return build(head=mug), lambda model, clip: model.encode_videos(clip).tokens


def make_mapped() -> Any:
    return make_detector(), lambda model, clip: model.extract_map(clip)


@pytest.mark.parametrize('make', [make_token_wise, make_mapped])
@torch.no_grad()
def test_what_a_model_calls_of_its_backbone_is_compiled(make: Callable[[], Any]) -> None:
    (model, run), backend = make(), Collector()
    clip = torch.rand(1, 3, 2, 32, 32)
    right = run(model.eval(), clip)
    compile_model(model, backend=backend)
    torch.testing.assert_close(run(model, clip), right)
    products = [node for graph in backend.graphs for node in graph.graph.nodes if is_product(node)]
    assert len(products) >= 4 * 4  # four layers of four products each, at least
    copy = deepcopy(model)  # as of averaged weights
    copy.backbone.tower.visual.ln_post.weight.zero_()
    torch.testing.assert_close(run(model, clip), right)
    assert not torch.equal(run(copy, clip), right)


def is_product(node: torch.fx.Node) -> bool:
    return 'linear' in str(node.target)


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
