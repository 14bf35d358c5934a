"""Two processes train DiST without ``find_unused_parameters``, as one does."""

from pathlib import Path

import torch
from helpers.dist_models import FROZEN
from helpers.gloo_gradients import Case, assert_same_gradients
from helpers.tiny_models import TEXT, shaken
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

from mmstan.methods.dist import DiST


@MODELS.register_module(force=True)
class ShakenDiST(DiST):
    """DiST with larger weights, so that no gradient is too small to compare."""

    def init_weights(self) -> None:
        super().init_weights()
        shaken(self.branch)


def dist() -> Case:
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
    clips = torch.randint(256, (4, 1, 3, 6, 32, 32), dtype=torch.uint8, generator=generator)
    samples = [
        dict(inputs=clip, data_samples=ActionDataSample().set_gt_label(i % 3))
        for i, clip in enumerate(clips)
    ]
    backbone = dict(
        type='ShakenDiST', tower=FROZEN, gamma=2, num_frames=3, width=32, temporal_width=8
    )
    model = dict(
        type='Recognizer3D', backbone=backbone, cls_head=head, data_preprocessor=preprocessor
    )
    return Case(model, samples)


def test_dist(tmp_path: Path) -> None:
    assert_same_gradients(dist, tmp_path)
