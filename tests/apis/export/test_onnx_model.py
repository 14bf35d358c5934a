"""An ONNX file in use is the model that it comes from."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from apis.export.conftest import Exported
from helpers.export_systems import draw_videos
from onnxruntime.quantization import QuantType, quantize_dynamic

import mmstan
from mmstan.apis.video_model import VideoModel
from mmstan.models.features import VideoFeatures
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
    for templates in [('{}',), ('a video of {}', '{}, filmed')][: 1 if ours.is_retrieval else 2]:
        pair = [x.classify(videos, TEXTS, templates=templates) for x in (model, ours)]
        for x, y in zip(*pair):
            np.testing.assert_allclose(x.all, y.all, atol=1e-4)


def test_frames(exported: Exported) -> None:
    model, ours, videos = load(exported.files['video']), exported.model, draw_videos(2)
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
