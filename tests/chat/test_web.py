"""The page's answers: earlier turns count, a video is encoded once, errors are told."""

from itertools import pairwise
from pathlib import Path

import pytest
from helpers.tiny_chat import GREEDY, QUESTION, make_frames
from helpers.videos import write_video

from mmstan.chat import VideoChat
from mmstan.chat.web import Page


def test_answers_grow_and_are_those_of_a_conversation(
    chat: VideoChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = str(write_video(tmp_path / 'a.mp4', make_frames(8)))
    page, encoded = Page(chat, GREEDY), []
    encode = chat.encode
    monkeypatch.setattr(chat, 'encode', lambda path: (encoded.append(path), encode(path))[1])
    first = list(page.answer(QUESTION, [], video))
    assert all(later.startswith(earlier) for earlier, later in pairwise(first))
    history = [
        {'role': 'user', 'content': [{'type': 'text', 'text': QUESTION}]},
        {'role': 'assistant', 'content': first[-1]},
    ]
    second = list(page.answer('which way ?', history, video))
    assert len(encoded) == 1
    failed = {'role': 'user', 'content': 'what colour ?'}  # gradio keeps it without an answer
    for turns in ([failed, *history], [*history, failed]):
        assert list(page.answer('which way ?', turns, video))[-1] == second[-1]
    monkeypatch.undo()
    talk = chat.start(video)
    said = [talk.ask(question, **GREEDY) for question in (QUESTION, 'which way ?')]
    assert [first[-1], second[-1]] == said


def test_without_a_video(chat: VideoChat) -> None:
    with pytest.raises(ValueError, match='choose a video first'):
        next(Page(chat, GREEDY).answer(QUESTION, [], None))
