"""An ONNX file in use is the model that it comes from."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from apis.export.conftest import Exported
from helpers import text_heads
from helpers.export_systems import draw_videos
from helpers.text_heads import NAMES
from mmengine.config import ConfigDict
from onnxruntime.quantization import QuantType, quantize_dynamic

import mmstan
from mmstan.apis.export.onnx_model import OnnxHead
from mmstan.apis.video_model import VideoModel
from mmstan.models import TextHead
from mmstan.models.features import TextFeatures, VideoFeatures, l2_normalise
from mmstan.models.interactions import Cosine

TEXTS = ['a dog', 'a man is riding a bike']


def load(file: Path) -> VideoModel:
    return mmstan.load(file, workers=0, batch_size=2)


def test_features_and_classes(exported: Exported) -> None:
    model, ours = load(exported.files['video']), exported.model
    videos = draw_videos(3)
    assert (model.embed(videos) - ours.embed(videos)).abs().max() < 1e-5
    if not model.is_retrieval:
        assert model.class_names == ours.class_names
        for x, y in zip(model.classify(videos), ours.classify(videos)):
            assert x.names == y.names
            np.testing.assert_allclose(x.all, y.all, atol=1e-4)


def test_texts(exported: Exported) -> None:
    model, ours, videos = load(exported.files['video']), exported.model, draw_videos(3)
    if 'text' not in exported.files:
        with pytest.raises(
            ValueError, match=r'\.onnx: there is no such file|has no text|own classes only'
        ):
            model.similarity(TEXTS, videos)
        return
    assert (model.embed_texts(TEXTS) - ours.embed_texts(TEXTS)).abs().max() < 1e-5
    assert (model.similarity(TEXTS, videos) - ours.similarity(TEXTS, videos)).abs().max() < 1e-5
    several = ('a video of {}', '{}, filmed')
    for templates in [None, ('{}',), several][: 2 if ours.is_retrieval else 3]:
        pair = [x.classify(videos, TEXTS, templates=templates) for x in (model, ours)]
        for x, y in zip(*pair):
            np.testing.assert_allclose(x.all, y.all, atol=1e-4)


def _make_head(ours: TextHead, **options: Any) -> OnnxHead:
    """A head over the files of ``ours``, whose text and scores parts are PyTorch."""
    parts: Any = SimpleNamespace(
        description=SimpleNamespace(model=ConfigDict(cls_head=options), class_names=NAMES),
        scale=ours.scale,
        outputs=['features'],
        file=SimpleNamespace(use={}, path='model.onnx'),
        encode_texts=ours.encode_texts,
        compare=lambda text, x: l2_normalise(text.sentence) @ l2_normalise(x['features']).T,
    )
    return OnnxHead(parts)


@torch.no_grad()
@pytest.mark.parametrize('sample_template', [False, True])
def test_templates_are_those_of_the_head(sample_template: bool) -> None:
    options: Any = dict(templates=['a video of {}', '{}, filmed'], sample_template=sample_template)
    ours, x = text_heads.build(**options).eval(), torch.randn(3, 16)
    head = _make_head(ours, **options)
    with head.swap_names(NAMES, head.templates):
        torch.testing.assert_close(head([x]), ours(x))


def test_templates_have_a_place_for_the_name() -> None:
    with (
        pytest.raises(ValueError, match=r"each needs a '\{\}' for the class name"),
        _make_head(text_heads.build()).swap_names(NAMES, ['a video']),
    ):
        pass


@torch.no_grad()
def test_texts_of_a_stream_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, x = text_heads.build().eval(), torch.randn(3, 16)
    head, seen = _make_head(ours), []

    def encode(texts: list[str]) -> TextFeatures:
        seen.append(texts)
        return ours.encode_texts(texts)

    monkeypatch.setattr(head.parts, 'encode_texts', encode)
    for _ in range(2):
        with head.swap_names(NAMES):
            torch.testing.assert_close(head([x]), ours(x))
    with head.swap_names(NAMES[:2]):
        assert head([x]).shape == (3, 2)
    assert seen == [NAMES, NAMES[:2]]


def test_learned_words_are_not_in_the_file() -> None:
    ours = text_heads.build(context_vectors=4)
    with (
        pytest.raises(ValueError, match=r'context_vectors=4: .* not in model\.onnx; other texts'),
        _make_head(ours, context_vectors=4).swap_names(NAMES),
    ):
        pass


def test_frames(exported: Exported) -> None:
    model, ours, videos = load(exported.files['video']), exported.model, draw_videos(2)
    found, right = (x.embed_compared(videos) for x in (model, ours))
    assert (found[0] - right[0]).abs().max() < 1e-4 and torch.equal(found[1], right[1])
    if not ours.is_retrieval and ours.model.with_neck:
        with pytest.raises(ValueError, match='behind the neck'):
            model.embed(videos, frames=True)
        return
    found, right = (x.embed(videos, frames=True) for x in (model, ours))
    assert (found[0] - right[0]).abs().max() < 1e-4 and torch.equal(found[1], right[1])


def test_retrieval_keeps_its_interaction(exported: Exported) -> None:
    model = load(exported.files['video'])
    if exported.system == 'sequence':  # no weights, so it needs no file
        assert isinstance(model.interaction, Cosine)
    if exported.system == 'mug_stan':
        text = exported.model.embed_texts(TEXTS, tokens=True)
        frames, mask = exported.model.embed(draw_videos(3), frames=True)
        video = VideoFeatures(frames, mask)
        found, right = (x.similarity_of(text, video) for x in (model, exported.model))
        assert (found - right).abs().max() < 1e-5


def test_quantised_files_are_models_too(exported: Exported, tmp_path: Path) -> None:
    file = tmp_path / 'small.onnx'
    quantize_dynamic(exported.files['video'], file, weight_type=QuantType.QInt8)
    model, whole, videos = load(file), load(exported.files['video']), draw_videos(2)
    assert (model.embed(videos) * exported.model.embed(videos)).sum(dim=1).min() > 0.999
    assert model.identity != whole.identity


def test_parts_of_two_models_do_not_mix(exported: Exported, tmp_path: Path) -> None:
    if 'text' not in exported.files:
        pytest.skip('one file')
    for file in exported.files.values():
        shutil.copy(file, tmp_path)
    text = onnx.load(tmp_path / 'model.text.onnx')
    use = next(x for x in text.metadata_props if x.key == 'mmstan.use')
    use.value = use.value.replace(exported.model.identity, 'another')
    onnx.save(text, tmp_path / 'model.text.onnx')
    with pytest.raises(ValueError, match='belongs to another model'):
        load(tmp_path / 'model.onnx').embed_texts(TEXTS)
    with pytest.raises(ValueError, match='is the scores part of a model; load'):
        load(tmp_path / 'model.scores.onnx')


def test_a_file_is_not_saved_as_another_one(exported: Exported, tmp_path: Path) -> None:
    model = load(exported.files['video'])
    with pytest.raises(ValueError, match='is an ONNX file and cannot be saved'):
        model.save(tmp_path / 'saved')
    with pytest.raises(ValueError, match='is an ONNX file already'):
        model.export(tmp_path / 'again.onnx')
    assert not list(tmp_path.rglob('*.*'))
