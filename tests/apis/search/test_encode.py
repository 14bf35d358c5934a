"""The features of an index are the ones that the model compares."""

from collections.abc import Callable
from pathlib import Path

import pytest

import mmstan
from mmstan.apis.search.encode import Encoder, check_head
from mmstan.apis.video_model import VideoModel

pytest_plugins = ['apis.conftest']
Models = Callable[[str], VideoModel]


@pytest.mark.parametrize('name', ['seq_transformer', 'wti', 'clip_mean'])
def test_hits_of_a_recognizer_score_as_its_head_does(
    name: str, tiny_model: Models, clips: list[Path], tmp_path: Path
) -> None:
    model, text = tiny_model(f'baselines/{name}/k400_b16'), 'a red circle'
    index = mmstan.SearchIndex.build(model, clips, tmp_path / 'index', store='float32')
    hits = index.search(text)
    expected = model.similarity([text], [hit.name for hit in hits])[0].tolist()
    assert [hit.score for hit in hits] == pytest.approx(expected, abs=1e-5)


def test_heads_that_read_more_than_one_feature_are_refused(tiny_model: Models) -> None:
    with pytest.raises(ValueError, match='PromptedTextHead compares more than one feature'):
        Encoder(tiny_model('xclip/k400_b16'))
    with pytest.raises(ValueError, match='FusedTextHead compares more than one feature'):
        check_head(dict(type='mmstan.FusedTextHead'))
    with pytest.raises(ValueError, match='context_vectors=4 compares class names behind'):
        check_head(dict(type='mmstan.TextHead', context_vectors=4))


def test_a_sampler_that_leaves_out_frames_takes_no_segments(
    tiny_model: Models, clips: list[Path], tmp_path: Path
) -> None:
    model = tiny_model('baselines/evl/k400_b16')
    with pytest.raises(ValueError, match=r'SampleFrames\(frame_interval='):
        mmstan.SearchIndex.build(model, clips[:1], tmp_path / 'index', segments=(1, 1))
