"""A training iteration of the benchmark: what it counts, what it changes, which batch fits."""

from copy import deepcopy

import pytest
import torch
from helpers.tiny_models import TOWER, WORDS
from mmengine.registry import init_default_scope
from torch import nn

from mmstan.benchmark import iteration as iterations
from mmstan.benchmark.iteration import Iteration, find_largest_batch
from mmstan.benchmark.measure import count_multiply_adds
from mmstan.benchmark.view import make_view
from mmstan.models.heads import ClassTexts
from mmstan.registry import MODELS

RULES = [dict(match=r'backbone\.tower\.visual\.transformer'), dict(match='cls_head')]
FROZEN = dict(match=r'backbone\.tower\.visual\.(?!transformer)', frozen=True)
OPTIM = dict(
    type='AmpOptimWrapper',  # the benchmark's own precision counts
    constructor='mmstan.ParamGroups',
    optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.01),
    paramwise_cfg=dict(rules=[*RULES, FROZEN]),
    clip_grad=dict(max_norm=1e-9),
)


@pytest.fixture
def model() -> nn.Module:
    init_default_scope('mmaction')
    head = dict(type='TimeSformerHead', num_classes=3, in_channels=16)
    backbone = dict(type='mmstan.FrameEncoder', tower=TOWER)
    neck = dict(type='mmstan.MeanPool')
    cfg = dict(type='Recognizer3D', backbone=backbone, neck=neck, cls_head=head)
    return MODELS.build(cfg).train()


def test_an_iteration_is_the_configs(model: nn.Module) -> None:
    """Its optimiser, its frozen parameters, its clipping."""
    before = deepcopy(model.state_dict())
    iteration = Iteration(model, OPTIM, device='cpu', precision='fp32')
    clip = torch.randn(2, 3, 2, 32, 32)
    iteration.compute_gradients(clip)
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.requires_grad])
    assert norm > 1e-3
    iteration.optim_wrapper.step()
    grads = [p.grad for p in model.parameters() if p.requires_grad]
    assert torch.nn.utils.get_total_norm(grads) < 2e-9
    iteration.optim_wrapper.zero_grad()
    assert all(p.grad is None for p in model.parameters())
    changed = {name for name, x in model.state_dict().items() if not torch.equal(x, before[name])}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert changed == trained and 0 < len(trained) < len(before)


def test_the_backward_pass_is_counted(model: nn.Module) -> None:
    iteration = Iteration(model, {}, device='cpu', precision='fp32')
    assert isinstance(iteration.optim_wrapper.optimizer, torch.optim.AdamW)
    clip = torch.randn(2, 3, 2, 32, 32)
    forward = count_multiply_adds(make_view(model), clip)
    pixels = 4 * 16 * 32 * 3 * 8 * 8  # 4 frames of 16 patches of 8 x 8 pixels -> 32
    # Twice as many products in the backward pass, but for the pixels, which need no gradient;
    # attention computes its scores again.
    expected = 3 * forward.linear + 3.5 * forward.attention - pixels
    assert iteration.count(clip) == pytest.approx(expected, rel=1e-3)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize('sampled', [False, True])
def test_features_of_class_names_are_kept_and_not_counted(
    model: nn.Module, sampled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = dict(type='mmstan.TextTower', model=WORDS, frozen=True)
    head = dict(type='mmstan.TextHead', class_names=['a', 'b', 'c'], text_tower=texts)
    if sampled:
        head.update(templates=[f'{i} {{}}' for i in range(8)], sample_template=True)
    model.cls_head = MODELS.build(head).train()
    iteration = Iteration(model, {}, device='cpu', precision='fp32')
    clip = torch.rand(1, 3, 2, 32, 32)
    first = iteration.count(clip)
    monkeypatch.setattr(ClassTexts, '_encode', None)  # no step encodes them again
    for _ in range(3):
        iteration.run(clip)
    assert iteration.count(clip) == first


@pytest.mark.parametrize(
    ('most', 'found'), [(0, 0), (1, 1), (7, 7), (16, 16), (100, 100), (1000, 992)]
)
def test_the_largest_batch(most: int, found: int) -> None:
    tried: list[int] = []

    def fits(clips: int) -> bool:
        tried.append(clips)
        return clips <= most

    assert find_largest_batch(fits) == found
    assert len(tried) < 20


def test_the_peak_is_of_iterations_alone(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of the matrices whose product is measured between them."""
    used = [0]
    laps = iter([5, 7, 6])

    def measure_product(**_: object) -> float:
        used[0] = max(used[0], 100)
        return 1.0

    def measure_lap(*_: object, **__: object) -> tuple[float, float]:
        used[0] = max(used[0], next(laps))
        return 1.0, 1.0

    monkeypatch.setattr(torch.cuda, 'reset_peak_memory_stats', lambda: used.__setitem__(0, 0))
    monkeypatch.setattr(torch.cuda, 'max_memory_allocated', lambda: used[0])
    monkeypatch.setattr(iterations, 'measure_peak_memory', lambda *_, **__: 3)
    monkeypatch.setattr(iterations, 'measure_matrix_products', measure_product)
    monkeypatch.setattr(iterations, 'measure_laps', measure_lap)
    iteration = Iteration(model, {}, device='cpu', precision='fp32')
    iteration.device = 'cuda'
    found = iteration.measure(torch.randn(1, 3, 2, 32, 32), macs=4, repeats=3)
    assert (found['peak'], found['memory'], found['utilisation']) == (7, 3, 2.0)


def test_fp16_runs_until_the_optimiser_has_its_state(
    model: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first steps overflow, and are skipped, until the scale of the loss is small enough."""
    iteration = Iteration(model, {}, device='cpu', precision='fp32')
    optimiser, runs = iteration.optim_wrapper.optimizer, []

    def run(clip: torch.Tensor) -> None:
        runs.append(clip)
        if len(runs) == 3:
            optimiser.state[torch.zeros(1)] = {}

    monkeypatch.setattr(iteration, 'run', run)
    clip = torch.zeros(1)
    iteration._create_state(clip)
    assert len(runs) == 3
    optimiser.state.clear()
    iteration._create_state(clip)  # SGD has no state: this ends nevertheless
    assert 3 < len(runs) < 30


@pytest.mark.parametrize(('device', 'counted'), [('cpu', 'fp32'), ('cuda', 'bf16')])
def test_counting_needs_no_more_gpu_memory_than_a_step(
    model: nn.Module, device: str, counted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    iteration = Iteration(model, {}, device=device, precision='bf16')
    found: list[str] = []
    monkeypatch.setattr(
        iteration, 'compute_gradients', lambda clip, precision: found.append(precision)
    )
    iteration.count(torch.zeros(1))
    assert found == [counted]


def test_a_batch_that_does_not_fit(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    iteration, clip = (
        Iteration(model, {}, device='cpu', precision='bf16'),
        torch.randn(1, 3, 2, 32, 32),
    )
    assert iteration.fits(clip, 3)

    def fill_memory(clip: torch.Tensor) -> None:
        raise torch.OutOfMemoryError(f'{len(clip)} clips')

    monkeypatch.setattr(iteration, 'compute_gradients', fill_memory)
    assert not iteration.fits(clip, 3)
