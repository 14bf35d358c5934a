"""Losses, gradients and weights that are no numbers: training stops and writes none of them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.gloo_processes import run_ranks
from helpers.resumed_run import BATCHES, EPOCHS, DropoutConv, NoiseClip, make_config, read_losses
from mmaction.registry import MODELS, OPTIM_WRAPPERS, TRANSFORMS
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

SECOND_EPOCH = r'iteration (\d+) \(epoch 2, batch \d of 5\): '


@TRANSFORMS.register_module(force=True)
class SometimesNaN(NoiseClip):
    """Noise, which is NaN for some files, and the name of the file."""

    def __init__(self, nan: Sequence[str] = ()) -> None:
        super().__init__()
        self.nan = nan

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        sample = super().transform(results)
        sample['data_samples'].set_metainfo(dict(filename=results['filename']))
        return sample | (dict(inputs=sample['inputs'] * torch.nan) if self._bad(results) else {})

    def _bad(self, results: dict[str, Any]) -> bool:
        return results['filename'] in self.nan


@MODELS.register_module(force=True)
class InfiniteGradient(DropoutConv):
    """The loss is a number; from call ``first`` to ``last`` its gradient is not."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__()
        self.calls = 0
        self.layers[0].weight.register_hook(
            lambda x: x * torch.inf if first <= self.calls <= last else x
        )

    def forward(self, clip: Tensor) -> Tensor:
        self.calls += self.training
        return super().forward(clip)


@OPTIM_WRAPPERS.register_module(force=True)
class ScaledWrapper(OptimWrapper):
    """What MMEngine's ``AmpOptimWrapper`` does on a GPU in float16, without the float16."""

    def __init__(self, scale: float = 2.0**16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=scale)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update()


def config(folder: Path, **wrapper: Any) -> Config:
    cfg = make_config(folder)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.pipeline = [dict(type='SometimesNaN')]
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=1, save_best='auto')
    cfg.optim_wrapper.update(wrapper)
    cfg.experiment_name = folder.name
    return cfg


def stopped(cfg: Config) -> str:
    with pytest.raises(FloatingPointError) as error:
        Runner.from_cfg(cfg).train()
    assert '\n' not in str(error.value)
    return str(error.value)


def batches_with(cfg: Config, name: str) -> list[str]:
    """The files of the first batch with ``name``, in the order of the run's sampler."""
    runner = Runner.from_cfg(Config(dict(cfg.to_dict(), experiment_name='order')))
    loader = runner.build_dataloader(cfg.train_dataloader, seed=runner.seed)
    for batch in loader:
        names = [sample.filename for sample in batch['data_samples']]
        if name in names:
            return names
    raise AssertionError(name)


def test_a_loss_that_is_nan(work_dir: Path) -> None:
    cfg = config(work_dir)
    cfg.train_dataloader.dataset.pipeline = [dict(type='SometimesNaN', nan=['7.mp4'])]
    files = batches_with(cfg, '7.mp4')
    message = stopped(cfg)
    assert re.match(r'iteration \d \(epoch 1, batch \d of 5\): the loss is not a number: ', message)
    assert 'loss=nan' in message and 'loss_cls=nan' in message
    assert f'its files: {", ".join(files)}.' in message
    assert re.search(r'; learning rate 0\.\d+ and 0\.\d+, gradient norm nan', message)
    assert 'No checkpoint was written yet. Try a lower optim_wrapper.optimizer.lr, a ' in message
    assert 'optim_wrapper.clip_grad=dict(max_norm=1)' in message
    assert not list(work_dir.glob('*.pth'))


@pytest.mark.parametrize('clip', [None, dict(max_norm=1), dict(type='value', clip_value=1)])
def test_a_gradient_that_is_infinite(clip: dict[str, Any] | None, work_dir: Path) -> None:
    cfg = config(work_dir, clip_grad=clip)
    cfg.model.backbone = dict(type='InfiniteGradient', first=BATCHES + 2, last=99)
    message = stopped(cfg)
    found = re.match(SECOND_EPOCH + r'the loss is \d\.\d+, but the gradient norm is ', message)
    assert found is not None and int(found[1]) == BATCHES + 2
    assert re.search(r'gradient norm (inf|nan) \(\d\S* an update before\)', message)
    assert f'The last checkpoint is {work_dir}/epoch_1.pth.' in message
    assert ('clip_grad' in message) == (clip is None)
    assert [path.name for path in work_dir.glob('epoch_*.pth')] == ['epoch_1.pth']
    # Checkpoints of before are of numbers.
    state = torch.load(work_dir / 'epoch_1.pth', weights_only=False)['state_dict']
    assert all(x.isfinite().all() for x in state.values())


@pytest.mark.parametrize('clip', [None, dict(max_norm=1)])
def test_a_loss_scaler_leaves_out_updates_by_itself(clip: Any, work_dir: Path) -> None:
    cfg = config(work_dir, type='ScaledWrapper', clip_grad=clip)
    cfg.model.backbone = dict(type='InfiniteGradient', first=2, last=4)
    Runner.from_cfg(cfg).train()
    assert len(read_losses(work_dir / 'losses.txt')) == EPOCHS * BATCHES


def test_a_loss_scale_that_sinks_for_ever(work_dir: Path) -> None:
    cfg = config(work_dir, type='ScaledWrapper', scale=2.0**-12)
    cfg.model.backbone = dict(type='InfiniteGradient', first=2, last=99)
    message = stopped(cfg)
    # 2 ** -13 and 2 ** -14 after the second and the third iteration.
    assert message.startswith('iteration 4 (epoch 1, batch 4 of 5): the loss scale has sunk to ')
    assert '3.05176e-05' in message  # 2 ** -15


def test_gradients_that_wait_for_others(work_dir: Path) -> None:
    cfg = config(work_dir, accumulative_counts=2)
    cfg.param_scheduler = None
    cfg.model.backbone = dict(type='InfiniteGradient', first=3, last=3)
    assert stopped(cfg).startswith('iteration 4 (epoch 1, batch 4 of 5): the loss is ')


@pytest.mark.parametrize('before', ['epoch', 'checkpoint'])
def test_weights_that_the_last_update_broke(
    before: str, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner.from_cfg(config(work_dir))
    step = OptimWrapper.step

    def break_weights(self: OptimWrapper, **kwargs: Any) -> None:
        step(self, **kwargs)
        if runner.iter == BATCHES - 1:  # the update after it is never seen by a loss
            with torch.no_grad():
                runner.model.cls_head.fc_cls.bias.fill_(torch.nan)

    monkeypatch.setattr(OptimWrapper, 'step', break_weights)
    if before == 'checkpoint':
        monkeypatch.setattr('mmstan.engine.FiniteTraining.after_train_epoch', lambda *_: None)
    with pytest.raises(FloatingPointError, match=r'1 of 6 weights are NaN or infinite \(cls_head'):
        runner.train()
    assert not list(work_dir.glob('*.pth'))


def train_with_one_bad_rank(folder: Path) -> None:
    """The case of one process."""
    rank = int(os.environ['RANK'])
    cfg = config(folder / f'work_{rank}')
    cfg.launcher = 'pytorch'
    cfg.env_cfg = dict(dist_cfg=dict(backend='gloo'))
    bad = [f'{i}.mp4' for i in range(18)] if rank == 1 else []
    cfg.train_dataloader.dataset.pipeline = [dict(type='SometimesNaN', nan=bad)]
    cfg.work_dir, cfg.experiment_name = str(folder / f'work_{rank}'), 'together'
    message = stopped(cfg)
    (folder / f'message_{rank}.txt').write_text(message)


def test_all_processes_stop_together(tmp_path: Path) -> None:
    run_ranks(f'{__file__}:train_with_one_bad_rank', tmp_path)
    said = [(tmp_path / f'message_{rank}.txt').read_text() for rank in range(2)]
    assert said[0].startswith('iteration 1 (epoch 1, batch 1 of 3): the loss is not a number: ')
    files = [set(re.findall(r'\d+\.mp4', message)) for message in said]
    assert files[0] == files[1] and len(files[0]) == 4  # of the one whose loss was NaN
