"""Loops, resuming, one process of NCCL, models in use and exported ones, on the device."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from helpers.device_systems import (
    check_gradients,
    compute_gradients,
    compute_outputs,
    make_batch,
    make_model,
    measure_error,
    share_model,
)
from helpers.devices import on_devices
from helpers.export_systems import draw_videos, make_config
from helpers.export_systems import make_model as make_video_model
from helpers.resumed_run import make_config as make_run
from helpers.resumed_run import read_losses
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner
from torch import Tensor

from mmstan.apis.export.parts import copy_for_export, draw_clip, list_parts, run_part
from mmstan.apis.video_model import VideoModel
from mmstan.models.losses.contrastive import _Gather


def require_runners_device(device: str) -> None:
    """MMEngine's runner takes the GPU where there is one."""
    if device == 'cpu' and torch.cuda.is_available():
        pytest.skip('the runner takes the GPU')


@DATASETS.register_module(force=True)
class TwoCaptionedClips(torch.utils.data.Dataset):
    """The two samples of a tiny retrieval system, twice."""

    metainfo: dict[str, Any] = {}

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        batch = make_batch('mug_stan')
        sample = batch['data_samples'][index % 2]
        sample.set_metainfo(dict(video_id=str(index)))
        return dict(inputs=batch['inputs'][index % 2], data_samples=sample)


@on_devices
def test_loops_of_retrieval(device: str, work_dir: Path) -> None:
    """Training, validation with a bank, and a test."""
    require_runners_device(device)

    def loader(*, shuffle: bool) -> dict[str, Any]:
        sampler = dict(type='DefaultSampler', shuffle=shuffle)
        data = dict(type='TwoCaptionedClips')
        return dict(batch_size=2, num_workers=0, dataset=data, sampler=sampler)

    metric = dict(type='mmstan.RetrievalMetric', qb_norm=dict(k=1))
    cfg = Config(
        dict(
            default_scope='mmaction',
            work_dir=str(work_dir),
            experiment_name=f'{work_dir.parent.name}-{device}',
            model=make_config('mug_stan'),
            train_dataloader=loader(shuffle=True),
            val_dataloader=loader(shuffle=False),
            test_dataloader=loader(shuffle=False),
            val_evaluator=metric,
            test_evaluator=metric,
            train_cfg=dict(type='mmstan.EpochTrainLoop', max_epochs=1),
            val_cfg=dict(type='mmstan.RetrievalValLoop', bank_dataloader=loader(shuffle=False)),
            test_cfg=dict(
                type='mmstan.RetrievalTestLoop', fp16=True, bank_dataloader=loader(shuffle=False)
            ),
            optim_wrapper=dict(
                type='AmpOptimWrapper',
                dtype='bfloat16',
                loss_scale=dict(enabled=False),
                optimizer=dict(type='AdamW', lr=1e-3),
                clip_grad=dict(max_norm=1),
            ),
            custom_hooks=[dict(type='mmstan.SaveRNG'), dict(type='EMAHook', momentum=0.1)],
            randomness=dict(seed=0),
        )
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    found = runner.test()
    assert next(runner.model.parameters()).device.type == device
    assert 0 < found['retrieval/rsum'] <= 600
    state = torch.load(work_dir / 'epoch_1.pth', weights_only=False)
    assert ('cuda' in state['rng'][0]) == (device == 'cuda')


@on_devices
def test_a_resumed_run_goes_on_with_the_devices_random_stream(device: str, tmp_path: Path) -> None:
    """Dropout, mixup and the order of the data; convolutions differ in the last digits."""
    require_runners_device(device)

    def train(name: str, **changes: Any) -> list[tuple[int, float]]:
        cfg = make_run(tmp_path, losses=f'{name}.txt', stop_at=changes.pop('stop_at', None))
        cfg.merge_from_dict(dict(changes, experiment_name=f'{tmp_path.name}-{name}'))
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        cfg.train_cfg.max_epochs = 2
        runner = Runner.from_cfg(cfg)
        if cfg.get('resume'):
            runner.train()
        else:
            with pytest.raises(KeyboardInterrupt):
                runner.train()
        assert next(runner.model.parameters()).device.type == device
        return read_losses(tmp_path / f'{name}.txt')

    whole = train('whole', stop_at=8)  # checkpoints behind iterations 3 and 6
    resumed = train('resumed', resume=True)
    assert [iteration for iteration, _ in resumed] == [6, 7, 8, 9]
    assert [loss for _, loss in resumed[:3]] == pytest.approx([x for _, x in whole[6:]], rel=1e-3)


@on_devices
@pytest.mark.parametrize('system', ['detector', 'mug_stan'])
def test_one_process_of_a_distributed_run(system: str, device: str) -> None:
    """NCCL on a GPU, gloo on the CPU."""
    right = compute_gradients(share_model(system), make_batch(system))
    store = dist.HashStore()
    backend = 'nccl' if device == 'cuda' else 'gloo'
    dist.init_process_group(backend, store=store, rank=0, world_size=1)
    model = make_model(system, device)
    ids = [torch.cuda.current_device()] if device == 'cuda' else None
    wrapped = MMDistributedDataParallel(model, device_ids=ids, find_unused_parameters=True)
    data = model.data_preprocessor(make_batch(system), True)
    losses = wrapped(**data, mode='loss')
    sum(x for key, x in losses.items() if 'loss' in key).backward()
    grads = {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}
    check_gradients(grads, right)


@on_devices
def test_features_of_all_processes(device: str) -> None:
    backend = 'nccl' if device == 'cuda' else 'gloo'
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    x = torch.arange(6.0, device=device).view(3, 2).requires_grad_()
    gathered: Tensor = _Gather.apply(x)
    assert torch.equal(gathered, x)
    (gathered * gathered).sum().backward()
    assert torch.equal(x.grad, 2 * x.detach())
    mask = torch.tensor([[True], [False]], device=device)
    assert torch.equal(_Gather.apply(mask), mask)


def use_on(device: str, system: str) -> tuple[VideoModel, VideoModel]:
    """A model in use on the CPU, and a copy of it on the device."""
    model = make_video_model(system)
    copied = deepcopy(model.model)
    return model, VideoModel(copied, model.description, device=device, workers=0)


@on_devices
def test_a_recognizer_in_use(device: str) -> None:
    model, copied = use_on(device, 'shift')
    videos = draw_videos(2)
    for ours, right in zip(copied.classify(videos), model.classify(videos)):
        assert ours.all == pytest.approx(right.all, abs=1e-4)
    assert measure_error(copied.embed(videos).cpu(), model.embed(videos)) <= 1e-4


@on_devices
def test_a_retrieval_model_in_use(device: str) -> None:
    model, copied = use_on(device, 'mug_stan')
    videos, texts = draw_videos(2), ['a dog', 'riding a bike']
    found = copied.similarity(texts, videos)
    assert measure_error(found.cpu(), model.similarity(texts, videos)) <= 1e-4
    lower = VideoModel(
        deepcopy(model.model), model.description, device=device, dtype=torch.bfloat16, workers=0
    )
    assert measure_error(lower.similarity(texts, videos).cpu(), found.cpu()) <= 2e-2


@on_devices
@pytest.mark.parametrize('system', ['shift', 'mug_stan'])
def test_a_model_on_the_device_is_exported(system: str, device: str) -> None:
    """Parts are made of a copy on the CPU, and the model stays where it is."""
    model, copied = use_on(device, system)
    clip = draw_clip(copied, 2)
    parts = []
    for each in (model, copied):
        with copy_for_export(each.model, torch.float32) as inner:
            found = list_parts(inner, clip, ('video', 'text', 'scores'))
            parts.append([(part.name, run_part(part)) for part in found])
    (right, ours) = parts
    assert [name for name, _ in ours] == [name for name, _ in right]
    for (_, outputs), (_, expected) in zip(ours, right):
        assert max(map(measure_error, outputs, expected)) <= 1e-4
    assert next(copied.model.parameters()).device.type == device


@on_devices
@torch.no_grad()
def test_a_model_that_has_moved_keeps_no_texts_of_before(device: str) -> None:
    """Features of class names are kept; they must not stay on the device of before."""
    model = make_model('shift', 'cpu')
    right = compute_outputs(model, make_batch('shift'))
    model = deepcopy(model)
    found = compute_outputs(model.to(device), make_batch('shift'))
    assert max(map(measure_error, found, right)) <= 1e-4
    back = compute_outputs(model.cpu(), make_batch('shift'))
    assert max(map(measure_error, back, right)) <= 1e-6
