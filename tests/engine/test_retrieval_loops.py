"""The loops through MMEngine's Runner, and in two gloo processes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.gloo_processes import run_ranks
from mmaction.registry import DATASETS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

import mmstan  # noqa: F401
from mmstan.engine import retrieval_loops
from mmstan.engine.retrieval_loops import make_training_bank
from mmstan.models.features import TextFeatures, VideoFeatures

WIDTH = 8


@DATASETS.register_module(force=True)
class CaptionedVideos(torch.utils.data.Dataset):
    """Videos ``first`` ... with 1, 2, 3, 1, ... captions; that of index ``broken`` is flagged."""

    metainfo: dict[str, Any] = {}

    def __init__(
        self, length: int = 5, first: int = 0, num_missing: int = 0, broken: int = -1
    ) -> None:
        self.length, self.first, self.num_missing = length, first, num_missing
        self.broken = first + broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        index += self.first
        sample = ActionDataSample(metainfo=dict(video_id=str(index)))
        sample.captions = [f'{index} {i}' for i in range(1 + index % 3)]
        if index == self.broken:
            sample.set_metainfo(dict(broken=[(f'{index}.mp4', 'is empty')]))
        generator = torch.Generator().manual_seed(index)
        return dict(inputs=torch.randn(WIDTH, generator=generator), data_samples=sample)


@MODELS.register_module(force=True)
class ScaledModel(BaseModel):
    """Its weights make the features, and other weights the score."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Parameter(torch.linspace(0.5, 1.5, WIDTH))
        self.interaction = nn.Parameter(torch.linspace(-1, 1, WIDTH))
        self.seen: list[str] = []

    def forward(self, inputs: list, data_samples: list, mode: str = 'tensor') -> Any:
        if mode == 'loss':
            return dict(loss=((self.encoder + self.interaction) ** 2).sum())
        assert mode == 'predict' and not self.training
        for x, sample in zip(inputs, data_samples):
            self.seen.append(sample.video_id)
            sentences = torch.stack([x.roll(int(c[-1])) for c in sample.captions])
            sentences = sentences * self.encoder.detach()
            mask = torch.ones(len(sentences), 1, dtype=torch.bool)
            sample.text_features = TextFeatures(sentences[:, None], sentences, mask)
            video = (x * self.encoder.detach())[None]
            sample.video_features = VideoFeatures(video, torch.ones(1, dtype=torch.bool))
        return data_samples

    def similarity(self, text: TextFeatures, video: VideoFeatures) -> torch.Tensor:
        assert not torch.is_autocast_enabled('cpu')
        return ((text.sentence * self.interaction) @ video.frames[:, 0].T).detach()


def config(work_dir: Path, **changes: Any) -> Config:
    def loader(**dataset: Any) -> dict[str, Any]:
        sampler = dict(type='DefaultSampler', shuffle=False)
        dataset = dict(dataset, type='CaptionedVideos')
        return dict(batch_size=2, num_workers=0, dataset=dataset, sampler=sampler)

    made = Config(
        dict(
            default_scope='mmaction',
            work_dir=str(work_dir),
            experiment_name=f'{work_dir.parent.name}-{work_dir.name}',
            model=dict(type='ScaledModel'),
            train_dataloader=loader(),
            val_dataloader=loader(num_missing=2),
            test_dataloader=loader(),
            val_evaluator=dict(type='mmstan.RetrievalMetric', topk=(1, 2)),
            test_evaluator=dict(type='mmstan.RetrievalMetric', topk=(1, 2)),
            train_cfg=dict(by_epoch=True, max_epochs=2),
            val_cfg=dict(type='mmstan.RetrievalValLoop'),
            test_cfg=dict(type='mmstan.RetrievalTestLoop'),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.3)),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', save_best='retrieval/t2v/R1', rule='greater')
            ),
            env_cfg=dict(dist_cfg=dict(backend='gloo')),
            randomness=dict(seed=0),
        )
    )
    made.merge_from_dict(dict(bank_loader=loader(length=7, first=50)))
    bank = made.pop('bank_loader')
    made.merge_from_dict(changes)
    if made.pop('with_bank', False):
        made.val_cfg.bank_dataloader = made.test_cfg.bank_dataloader = bank
    return made


QB_NORM = {
    'val_evaluator.qb_norm': dict(k=2),
    'test_evaluator.qb_norm': dict(k=2),
    'with_bank': True,
}


def test_train_with_validation_and_test(work_dir: Path):
    runner = Runner.from_cfg(config(work_dir))
    runner.train()
    assert list(work_dir.glob('best_retrieval_t2v_R1_epoch_*.pth'))
    found = runner.test()
    names = [f'{way}/{key}' for way in ('t2v', 'v2t_group', 'v2t_caption') for key in ('R1', 'MnR')]
    assert {f'retrieval/{name}' for name in [*names, 'rsum']} <= set(found)
    validated = runner.val_loop.run()
    assert validated.pop('retrieval/missing') == 2
    assert validated == found


def test_the_weights_of_the_time_score(work_dir: Path):
    runner = Runner.from_cfg(config(work_dir))
    first = runner.test()
    with torch.no_grad():
        runner.model.interaction.neg_()  # reverses every order
    second = runner.test_loop.run()
    ranks = [found['retrieval/t2v/MnR'] for found in (first, second)]
    assert sum(ranks) == pytest.approx(5 + 1) and ranks[0] != ranks[1]


def test_averaged_weights_encode_and_score(work_dir: Path):
    """EMAHook swaps them in before the first batch, and out after the metrics."""
    hook = dict(type='EMAHook', momentum=0.01)
    runner = Runner.from_cfg(config(work_dir, custom_hooks=[hook], **QB_NORM))
    runner.train()
    model, (ema,) = runner.model, [h for h in runner.hooks if type(h).__name__ == 'EMAHook']
    averaged = ema.ema_model.module.interaction.tolist()
    assert averaged != model.interaction.tolist()
    used = []

    def watched(work: Callable[..., Any]) -> Callable[..., Any]:
        def watch(*args: Any, **kwargs: Any) -> Any:
            used.append(model.interaction.tolist())
            return work(*args, **kwargs)

        return watch

    model.forward, model.similarity = watched(model.forward), watched(model.similarity)
    runner.val_loop.run()
    assert len(used) == 4 + 3 + 3  # batches of the bank, of the test; scores: plain, t2v, v2t
    assert all(weights == averaged for weights in used)
    assert averaged != model.interaction.tolist()


def test_stock_loop(work_dir: Path):
    runner = Runner.from_cfg(config(work_dir, test_cfg=dict(_delete_=True)))
    with pytest.raises(ValueError, match=r"needs val_cfg=dict\(type='mmstan.RetrievalValLoop'\)"):
        runner.test()


def test_other_metrics_stand_beside(work_dir: Path):
    both = [
        dict(type='mmstan.RetrievalMetric'),
        dict(type='mmstan.RetrievalMetric', prefix='dsl', dsl=True, logit_scale=10),
        dict(type='DumpResults', out_file_path=str(work_dir.parent / 'results.pkl')),
    ]
    found = Runner.from_cfg(config(work_dir, test_evaluator=both)).test()
    assert found['retrieval/t2v/R1'] == found['dsl/t2v/R1']
    assert 'dsl/dsl/t2v/R1' in found
    assert (work_dir.parent / 'results.pkl').exists()


def test_fp16_is_for_the_features_only(work_dir: Path):
    found = Runner.from_cfg(config(work_dir, **{'test_cfg.fp16': True})).test()
    assert 'retrieval/rsum' in found  # the model's similarity checks that autocast is off


def test_bank(work_dir: Path):
    runner = Runner.from_cfg(config(work_dir, **QB_NORM))
    runner.test()
    assert runner.model.seen == [str(i) for i in [*range(50, 57), *range(5)]]  # the bank first
    (metric,) = runner.test_loop.evaluator.metrics
    assert len(metric._bank[0].sentence) == 3 + 1 + 2 + 3 + 1 + 2 + 3
    assert len(metric._bank[1].frames) == 7
    runner.test_loop.run()  # again: the weights may have changed
    assert len(runner.model.seen) == 24


def test_broken_videos(work_dir: Path):
    """Of the bank and of the test set."""
    changes = {
        'test_dataloader.dataset.broken': 2,
        'test_cfg.bank_dataloader.dataset.broken': 4,
    }
    made = config(work_dir, **QB_NORM)
    made.merge_from_dict(changes)
    runner = Runner.from_cfg(made)
    assert runner.test()['retrieval/left_out'] == 1
    (metric,) = runner.test_loop.evaluator.metrics
    assert len(metric._bank[1].frames) == 6
    (log,) = work_dir.glob('*/*.log')
    assert 'the ranks leave out 1 of 5 videos with their captions' in log.read_text()
    assert 'the features of the bank leave out 1 of 7 videos' in log.read_text()
    assert 'broken: 54.mp4: is empty' in log.read_text()


def test_without_a_bank(work_dir: Path):
    changes = {'test_evaluator.qb_norm': dict(k=2)}
    with pytest.raises(ValueError, match=r"qb_norm=\{'k': 2\} needs a bank: give bank_dataloader"):
        Runner.from_cfg(config(work_dir, **changes)).test()


def test_training_data_that_are_no_bank(work_dir: Path):
    made = config(work_dir, **QB_NORM)
    made.test_cfg.bank_dataloader = 'train'
    with pytest.raises(ValueError, match=r"^bank_dataloader='train' .* has CaptionedVideos; give"):
        Runner.from_cfg(made).test()


def test_a_bank_in_the_pipeline_of_the_test_set() -> None:
    captions = dict(type='mmstan.CaptionsJson', pipeline=['of training'], pairs='random')
    test_set = dict(type='mmstan.CaptionsJson', pipeline=['of the test'])
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=dict(type='RepeatDataset', dataset=captions)),
            test_dataloader=dict(batch_size=3, dataset=test_set),
        )
    )
    dataset = dict(test_set, missing='report', test_mode=True)
    assert make_training_bank(cfg) == dict(batch_size=3, dataset=dataset)
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[test_set])
    with pytest.raises(ValueError, match=r'of the test set, and ConcatDataset has none of its own'):
        make_training_bank(cfg)


def test_all_processes_wait_until_the_bank_is_read(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []

    def collect(results: list, *_: Any) -> list:
        called.append('collect')
        return results

    monkeypatch.setattr(retrieval_loops, 'collect_results', collect)
    monkeypatch.setattr(retrieval_loops, 'barrier', lambda: called.append('barrier'))
    Runner.from_cfg(config(work_dir, **QB_NORM)).test()
    assert called == ['collect', 'barrier']


def test_bank_that_no_metric_reads(work_dir: Path):
    runner = Runner.from_cfg(config(work_dir, with_bank=True))
    runner.test()
    assert runner.model.seen == list('01234')
    (log,) = work_dir.glob('*/*.log')
    assert 'bank_dataloader is not read' in log.read_text()


def test_two_processes_score_as_one(tmp_path: Path):
    """Five videos and a bank of seven in two processes: one of each is repeated."""
    run_ranks(f'{__file__}:score', tmp_path / 'together')
    together = [json.loads((tmp_path / 'together' / f'{rank}.json').read_text()) for rank in (0, 1)]
    runner = Runner.from_cfg(config(tmp_path / 'alone', **QB_NORM))
    alone = runner.test()
    assert [found['metrics'] for found in together] == [alone, alone]
    assert [len(found['seen']) for found in together] == [4 + 3, 4 + 3]


def score(folder: Path) -> None:
    """What one process of several finds, and which videos it saw."""
    runner = Runner.from_cfg(config(folder, launcher='pytorch', **QB_NORM))
    metrics = runner.test()
    seen = runner.model.module.seen
    (folder / f'{os.environ["RANK"]}.json').write_text(json.dumps(dict(metrics=metrics, seen=seen)))
