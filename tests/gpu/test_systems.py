"""Models of every kind give on a GPU what they give on the CPU: outputs, gradients, half precision.

On the CPU the comparison is of a model with its copy, or with its halves: it shows that the test
works. ``make gpu`` runs the tests of the GPU.
"""

from copy import deepcopy

import pytest
import torch
from helpers.device_systems import (
    SYSTEMS,
    check_gradients,
    compute_gradients,
    compute_loss,
    compute_outputs,
    make_batch,
    make_model,
    measure_error,
    share_model,
)
from helpers.devices import on_devices
from mmengine.optim import build_optim_wrapper
from torch._dynamo.utils import counters

from mmstan.engine.compiling import compile_model
from mmstan.models.backbones import VideoBackbone
from mmstan.registry import MODELS

every_system = pytest.mark.parametrize('system', SYSTEMS)
# Dynamo needs seconds for each system on the CPU, so one shows that the test works.
TRACED_ON_CPU = 'tubes'


def test_every_backbone_and_head_is_tried() -> None:
    models = [share_model(name) for name in SYSTEMS]
    tried = {type(part) for model in models for part in model.modules()}
    kinds = [kind for kind in MODELS.module_dict.values() if kind.__module__.startswith('mmstan.')]
    heads = {kind for kind in kinds if kind.__name__.endswith('Head')}
    backbones = {kind for kind in kinds if issubclass(kind, VideoBackbone)}
    assert len(backbones) >= 10 and len(heads) >= 8
    assert backbones | heads <= tried


@on_devices
@every_system
@torch.no_grad()
def test_outputs(system: str, device: str) -> None:
    batch, right = (
        make_batch(system),
        compute_outputs(share_model(system), make_batch(system)),
    )
    model = make_model(system, device)
    found = compute_outputs(model, batch)
    assert len(found) == len(right) and all(x.isfinite().all() for x in right)
    assert max(map(measure_error, found, right)) <= 1e-4
    with torch.autocast(device, torch.bfloat16):
        lower = compute_outputs(make_model(system, device), make_batch(system))
    assert max(map(measure_error, lower, right)) <= 2e-2


@on_devices
@every_system
def test_gradients(system: str, device: str) -> None:
    right = compute_gradients(share_model(system), make_batch(system))
    check_gradients(compute_gradients(make_model(system, device), make_batch(system)), right)


@on_devices
@every_system
def test_training_in_float16(system: str, device: str) -> None:
    """Finite losses, and a step once the loss scale is low enough."""
    model, batch = make_model(system, device), make_batch(system)
    trained = [p for p in model.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in trained]
    optimizer = torch.optim.SGD(trained, lr=1e-3)
    scaler = torch.amp.GradScaler(device, init_scale=2.0**16)
    for _ in range(8):
        optimizer.zero_grad()
        with torch.autocast(device, torch.float16):
            loss = compute_loss(model, batch)
        assert loss.isfinite()
        scaler.scale(loss).backward()
        scale = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        if scaler.get_scale() >= scale:
            break
    assert scaler.get_scale() >= 2.0**9
    assert all(p.isfinite().all() for p in trained)
    assert any(not torch.equal(p, old) for p, old in zip(trained, before))


@on_devices
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('system', ['evl', 'mug_stan'])
def test_training_step_of_mmengine(system: str, dtype: str, device: str) -> None:
    """As ``tools/train.py --amp``. EVL's head is MMAction2's."""
    if device == 'cpu' and dtype == 'float16':
        pytest.skip('without a GPU it runs in bfloat16')
    model = make_model(system, device).train()
    scale = 'dynamic' if dtype == 'float16' else dict(enabled=False)
    cfg = dict(type='AmpOptimWrapper', dtype=dtype, loss_scale=scale, clip_grad=dict(max_norm=1))
    wrapper = build_optim_wrapper(model, dict(cfg, optimizer=dict(type='AdamW', lr=1e-3)))
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    for _ in range(8 if dtype == 'float16' else 1):  # the first loss scales may be too high
        losses = model.train_step(make_batch(system), wrapper)
        assert losses['loss'].isfinite()
    after = dict(model.named_parameters())
    assert any(not torch.equal(after[name], x) for name, x in before.items())
    assert all(after[name].isfinite().all() for name in before)


@on_devices
@every_system
def test_compiled(system: str, device: str) -> None:
    if device == 'cpu' and system != TRACED_ON_CPU:
        pytest.skip('on the CPU one system shows that the test works')
    right = compute_gradients(share_model(system), make_batch(system))
    model = deepcopy(share_model(system)).to(device)  # others are to stay as they are
    compile_model(model, backend='inductor' if device == 'cuda' else 'eager')
    counters.clear()
    check_gradients(compute_gradients(model, make_batch(system)), right)
    assert counters['stats']['unique_graphs']
