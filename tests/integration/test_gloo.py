"""Two processes on the CPU learn what one learns from the joined batch."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.ava_files import write_files
from helpers.gloo_gradients import Case, assert_same_gradients
from helpers.gloo_processes import run_ranks
from helpers.tiny_models import TEXT, TOWER, WORDS
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.dist import get_rank, init_dist
from mmengine.model import BaseModule
from torch import nn

from mmstan.compat.checkpoints import load_file
from mmstan.evaluation import AVAMetric
from mmstan.methods.stan import STAN


@MODELS.register_module(force=True)
class TwoConvs(BaseModule):
    """(N, 3, T, H, W) -> (N, 8, T, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(3, 4, 3, padding=1)
        self.second = nn.Conv3d(4, 8, 3, padding=1)

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(clip).relu())


def recognizer() -> Case:
    head = dict(
        type='I3DHead', num_classes=3, in_channels=8, topk=(1,), dropout_ratio=0, init_std=1.0
    )
    preprocessor = dict(
        type='ActionDataPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, format_shape='NCTHW'
    )
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(256, (6, 1, 3, 2, 5, 5), dtype=torch.uint8, generator=generator)
    samples = [
        dict(inputs=clip, data_samples=ActionDataSample().set_gt_label(i * i % 3))
        for i, clip in enumerate(clips)
    ]
    model = dict(
        type='Recognizer3D',
        backbone=dict(type='TwoConvs'),
        cls_head=head,
        data_preprocessor=preprocessor,
    )
    return Case(model, samples)


def test_recognizer(tmp_path: Path):
    assert_same_gradients(recognizer, tmp_path)
    # Both ranks' random states are in the checkpoint, each with its own.
    states = load_file(tmp_path / 'together' / 'epoch_1.pth')['rng']
    assert len(states) == 2
    assert not torch.equal(states[0]['torch'], states[1]['torch'])


@MODELS.register_module(force=True)
class ShakenSTAN(STAN):
    """STAN whose zero-initialised layers have weights, so that gradients pass through them."""

    def init_weights(self) -> None:
        super().init_weights()
        with torch.no_grad():
            for parameter in self.branches.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)


def stan() -> Case:
    text = dict(TEXT, vocab_size=49408, width=8, heads=1, layers=1)  # the tokenizer's vocabulary
    head = dict(
        type='mmstan.TextHead',
        class_names=['up', 'down', 'still'],
        text_tower=dict(
            type='mmstan.TextTower', model=dict(embed_dim=16, text_cfg=text), frozen=True
        ),
        logit_scale=10.0,
        topk=(1,),
    )
    preprocessor = dict(
        type='ActionDataPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, format_shape='NCTHW'
    )
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(256, (4, 1, 3, 3, 32, 32), dtype=torch.uint8, generator=generator)
    samples = [
        dict(inputs=clip, data_samples=ActionDataSample().set_gt_label(i % 3))
        for i, clip in enumerate(clips)
    ]
    model = dict(
        type='Recognizer3D',
        backbone=dict(type='ShakenSTAN', tower=TOWER, levels=(2, 3, 4), drop_path=0.0),
        neck=dict(type='mmstan.MeanPool'),
        cls_head=head,
        data_preprocessor=preprocessor,
    )
    return Case(model, samples)


def test_stan(tmp_path: Path):
    assert_same_gradients(stan, tmp_path)


def retrieval(interaction: dict[str, Any], **head: Any) -> Case:
    """Six pairs; a process of two scores three rows and three columns of the matrix."""
    preprocessor = dict(
        type='ActionDataPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, format_shape='NCTHW'
    )
    captions = ['a cat sleeps', 'two dogs', 'she sings', 'rain', 'cooking an egg', 'a cat runs']
    generator = torch.Generator().manual_seed(0)
    clips = torch.randint(256, (6, 1, 3, 3, 32, 32), dtype=torch.uint8, generator=generator)
    samples = []
    for clip, caption in zip(clips, captions):
        sample = ActionDataSample()
        sample.set_field([caption], 'captions')
        samples.append(dict(inputs=clip, data_samples=sample))
    model = dict(
        type='mmstan.VideoTextModel',
        backbone=dict(type='mmstan.FrameEncoder', tower=TOWER),
        text_tower=dict(type='mmstan.TextTower', model=WORDS),
        head=dict(type='mmstan.RetrievalHead', interaction=interaction, **head),
        data_preprocessor=preprocessor,
    )
    return Case(model, samples)


def mug() -> Case:
    return retrieval(dict(type='mmstan.Mug', sharpness=5.0), scale=10.0)


def weighted_token_wise() -> Case:
    weighted = dict(type='mmstan.WeightedTokenWise', dim=16, layers=1)
    cdcr = dict(type='mmstan.ChannelDecorrelation', alpha1=0.11, weight=0.01)
    case = retrieval(weighted, scale=10.0, trainable_scale=True, reduction='mean', regulariser=cdcr)
    # Two processes encode their pairs in parts, one process all of them at once.
    case.model['micro_batch'] = 2 if 'WORLD_SIZE' in os.environ else None
    return case


@pytest.mark.parametrize('case', [mug, weighted_token_wise])
def test_retrieval(case: Callable[[], Case], tmp_path: Path):
    # A softmax over a linear layer does not see its bias.
    assert_same_gradients(case, tmp_path, no_effect=r'_net\.0\.bias$')


def test_detection_metric(tmp_path: Path) -> None:
    """Each rank has half of the key frames, and the sampler repeats one to fill up the last."""
    for name in ('files0', 'files1', 'files'):
        (tmp_path / name).mkdir()
    run_ranks(f'{__file__}:score_detections', tmp_path)
    found = [json.loads((tmp_path / f'{rank}.json').read_text()) for rank in '01']
    metric = make_detection_metric(tmp_path / 'files')
    metric.process({}, draw_detections())
    assert found == [metric.evaluate(5)] * 2
    assert 0 < found[0]['detection/mAP'] < 1


def make_detection_metric(folder: Path) -> AVAMetric:
    files = write_files(folder)
    return AVAMetric(files['truth'], files['labels'])


def draw_detections() -> list[dict[str, Any]]:
    """Detections at five key frames, the second and the last without ground truth."""
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[0.25, 0.25, 0.5, 0.75], [0.6, 0.2, 0.9, 0.6], [0.1, 0.1, 0.4, 0.9]])
    return [
        dict(
            video_id=video,
            timestamp=second,
            pred_instances=dict(bboxes=boxes, scores=torch.rand(3, 4, generator=generator)),
        )
        for video, second in (('a', 1), ('a', 2), ('a', 3), ('b', 2), ('b', 3))
    ]


def score_detections(folder: Path) -> None:
    """What one of two ranks does."""
    init_dist('pytorch', backend='gloo')
    rank, samples = get_rank(), draw_detections()
    metric = make_detection_metric(folder / f'files{rank}')
    metric.process({}, (samples + samples[:1])[rank::2])
    (folder / f'{rank}.json').write_text(json.dumps(metric.evaluate(5)))
