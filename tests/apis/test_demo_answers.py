"""Answers of the web demo; the page itself is tested in ``tests/browser``."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mmstan
from mmstan.apis import demo_answers
from mmstan.apis.demo_answers import classify, compare, find, make_strip, split_lines
from mmstan.apis.search import Hit
from mmstan.apis.video_model import VideoModel
from mmstan.commands import main

Models = Callable[[str], VideoModel]
STAN, RETRIEVAL = 'stan/k400_b16', 'mug_stan/msrvtt_b32'


def test_classes_and_frames(tiny_model: Models, clips: list[Path]) -> None:
    model = tiny_model(STAN)
    shown, frames = classify(model, str(clips[0]), '')
    expected = model.classify(clips[0])
    assert list(shown) == expected.names and list(shown.values()) == expected.values
    assert np.array_equal(frames, model.frames(clips[0]))
    shown, _ = classify(tiny_model(RETRIEVAL), str(clips[0]), ' up \n\ndown')
    assert set(shown) == {'up', 'down'}


def test_uploads_are_checked(
    tiny_model: Models, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match='Give a video'):
        classify(tiny_model(STAN), None, '')
    with pytest.raises(ValueError, match='Write texts'):
        compare(tiny_model(STAN), str(clips[0]), ' \n')
    monkeypatch.setattr(demo_answers, 'MINUTES', 0.001)
    with pytest.raises(ValueError, match=r'minutes; 0\.001 are the most'):
        classify(tiny_model(STAN), str(clips[0]), '')


def test_search_by_text_and_by_example(
    tiny_model: Models, clips: list[Path], tmp_path: Path
) -> None:
    model = tiny_model(RETRIEVAL)
    index = mmstan.SearchIndex.build(model, clips, tmp_path / 'index')
    assert find(index, ' a red circle ', None) == index.search('a red circle', 5)
    assert find(index, '', str(clips[1])) == index.search(clips[1], 5)
    # The path of a file is a text here: a visitor reads no file by its name.
    assert find(index, str(clips[1]), None) != index.search(clips[1], 5)
    assert split_lines(' a\n\n b ') == ['a', 'b']


def test_strips_have_their_score_and_time(tiny_model: Models, clips: list[Path]) -> None:
    model = tiny_model(RETRIEVAL)
    height, width = model.frames(clips[0]).shape[1:3]
    strip, line = make_strip(model, Hit(str(clips[0]), 0.25))
    assert strip.shape == (height, 8 * width, 3) and line == f'0.250 {clips[0].name}'
    strip, line = make_strip(model, Hit(str(clips[0]), 0.25, start=0.0, end=0.5))
    assert strip.ndim == 3 and line == f'0.250 {clips[0].name}, 0-0.5 s'


@pytest.mark.parametrize(('start', 'when'), [(None, ''), (0.0, ', 0-0.5 s')])
def test_a_video_that_is_gone_hides_no_other(
    tiny_model: Models, start: float | None, when: str
) -> None:
    hit = Hit('gone.mp4', 0.25, start=start, end=None if start is None else 0.5)
    strip, line = make_strip(tiny_model(RETRIEVAL), hit)
    assert strip.ndim == 3 and not strip.any()
    assert line == f'0.250 gone.mp4{when}: cannot be found or read (No such file or directory)'


def test_comparisons_of_a_recognizer_are_of_its_head(
    tiny_model: Models, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, drawn = tiny_model('xclip/k400_b16'), []
    monkeypatch.setattr(demo_answers, 'draw_comparison', lambda *args, **_: drawn.append(args))
    compare(model, str(clips[0]), 'a red circle\nup')
    assert drawn[0][3] == model.similarity(['a red circle', 'up'], clips[0])[:, 0].tolist()


@pytest.mark.parametrize(('name', 'panels'), [(STAN, 2), (RETRIEVAL, 4)])
def test_mug_shows_its_words(tiny_model: Models, clips: list[Path], name: str, panels: int) -> None:
    figure = compare(tiny_model(name), str(clips[0]), 'a red circle\nup')
    assert len(figure.axes) == panels
    assert [label.get_text()[:12] for label in figure.axes[1].get_yticklabels()] == [
        'a red circle',
        'up  ' + figure.axes[1].get_yticklabels()[1].get_text()[4:12],
    ]


def test_gradio_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'gradio', None)
    with pytest.raises(
        SystemExit, match=r'error: the demo needs gradio: pip install "mmstan\[demo\]"'
    ):
        main(['demo', 'my_model'])
