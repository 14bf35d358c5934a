"""A retrieval model classifies, after conversion, as it compares texts and videos."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.retrieval_models import PREPROCESSOR, build, head
from helpers.scripts import PROJECT, convert
from helpers.tiny_models import WORDS
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmstan.converters import recognition

NAMES = ['riding a bike', 'rain', 'two dogs run']
POOLED = dict(type='mmstan.Cosine', frames='raw')


def recognizer(interaction: dict[str, Any]) -> Any:
    """A recognition model that pools the frames, or has the interaction."""
    init_default_scope('mmaction')
    pooled = interaction is POOLED
    tower = dict(model=WORDS)
    return MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(
                type='mmstan.STAN', levels=(2, 3), tower=dict(type='mmstan.ImageTower', **tower)
            ),
            neck=dict(type='mmstan.MeanPool') if pooled else None,
            cls_head=dict(
                type='mmstan.TextHead',
                class_names=NAMES,
                text_tower=dict(type='mmstan.TextTower', **tower, frozen=True),
                interaction=None if pooled else interaction,
            ),
            data_preprocessor=PREPROCESSOR,
        )
    ).eval()


@pytest.fixture
def state() -> dict[str, Tensor]:
    return build(stan=True).state_dict()


@pytest.mark.parametrize(
    'interaction',
    [
        dict(type='mmstan.Mug', sharpness=5.0),
        dict(type='mmstan.WeightedTokenWise', dim=16),
        POOLED,
    ],
    ids=str,
)
def test_the_same_scores(
    interaction: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, target = tmp_path / 'epoch_1.pth', tmp_path / 'new/recognition.pth'
    scaled = head(interaction, trainable_scale=True, scale=30.0)
    retrieval = build(stan=True, head=scaled).eval()
    torch.save(dict(meta={}, state_dict=retrieval.state_dict()), source)
    said: list[str] = []
    monkeypatch.setattr(recognition, 'print_log', lambda text, _: said.append(text))
    convert(monkeypatch, 'recognition', source, target)
    assert said == [f'logit_scale={retrieval.head.scale:.1f}, to be given to TextHead, is left out']
    model = recognizer(interaction)
    model.load_state_dict(torch.load(target, weights_only=True)['state_dict'])  # every tensor
    clip = torch.randn(2, 3, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model.backbone(clip), retrieval.backbone(clip))
        scores, _ = model.extract_feat(clip[:, None], stage='head')
        videos = retrieval.encode_videos(clip)
        similarity = retrieval.similarity(retrieval.encode_texts(NAMES), videos)
    torch.testing.assert_close(scores, 100 * similarity.T, rtol=1e-4, atol=1e-4)


def test_there_and_back(state: dict[str, Tensor]) -> None:
    again = recognition.to_released(recognition.from_released(state))
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_the_configs_belong_together() -> None:
    """What post-pretraining leaves is all that zero-shot recognition needs, in the same sizes."""
    init_default_scope('mmaction')
    shapes = []
    for name in ('pretrain/webvid10m_b16', 'zero_shot/ucf101_b16'):
        cfg = Config.fromfile(PROJECT / f'configs/mug_stan/{name}.py')
        if 'cls_head' in cfg.model:
            cfg.model.cls_head.class_names = NAMES
        with torch.device('meta'):
            shapes.append(MODELS.build(cfg.model).state_dict())
    converted, needed = recognition.from_released(shapes[0]), shapes[1]
    assert {k: x.shape for k, x in converted.items()} == {k: x.shape for k, x in needed.items()}
    assert cfg.load_from == 'work_dirs/mug_stan/zero_shot/b16.pth'
    assert list(cfg.test_splits) == ['split1', 'split2', 'split3']


def test_states_of_other_models(state: dict[str, Tensor]) -> None:
    with pytest.raises(ValueError, match=r'^1 tensors left over: head\.extra$'):
        recognition.from_released({**state, 'head.extra': torch.zeros(1)})
    with pytest.raises(ValueError, match=r'^there is no text tower, text_tower\.\*, among'):
        recognition.from_released(recognition.from_released(state))
