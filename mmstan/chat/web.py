"""A page on which a video is asked, one model for all visitors, one question at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from mmstan.chat.conversation import Conversation
from mmstan.chat.optional import require
from mmstan.chat.video_chat import VideoChat
from mmstan.datasets.readers import BrokenVideoError

MEGABYTES = 100  # of an upload


class Page:
    """Answers the page's questions; the last video's tokens are kept.

    Args:
        chat: The dialogue model.
        generation: Settings of :meth:`VideoChat.ask`.
    """

    def __init__(self, chat: VideoChat, generation: Mapping[str, Any]) -> None:
        self.chat, self.generation = chat, generation
        self._known: tuple[str, Tensor] | None = None

    def answer(
        self, question: str, history: Sequence[Mapping[str, Any]], video: str | None
    ) -> Iterator[str]:
        """The answer so far, longer each time; the page's earlier turns are part of the prompt.

        Args:
            question: The new question.
            history: The page's turns, ``role`` and ``content``.
            video: Path of the video.

        Raises:
            ValueError: There is no video.
        """
        if not video:
            raise ValueError('choose a video first')
        talk = Conversation(self.chat, self._encode(video))
        asked: str | None = None
        for turn in history:
            text = _to_text(turn['content'])
            if turn['role'] == 'user':
                asked = text  # one that is never answered has failed or was stopped: no turn
            elif asked is not None:
                talk.add(asked, text)
                asked = None
        said = ''
        for piece in talk.stream(question, **self.generation):
            said += piece
            yield said

    def _encode(self, video: str) -> Tensor:
        if self._known is None or self._known[0] != video:
            self._known = video, self.chat.encode(video)
        return self._known[1]


def _to_text(content: Any) -> str:
    """The text of a turn; gradio gives it as a string, or as a list of parts."""
    if isinstance(content, str):
        return content
    return ' '.join(part if isinstance(part, str) else part.get('text', '') for part in content)


def build_page(chat: VideoChat, generation: Mapping[str, Any]) -> Any:
    """The page, a ``gradio.Blocks``.

    Raises:
        ImportError: gradio is not installed.
    """
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    require('gradio', 'the page', 'mmstan[demo]')
    import gradio as gr

    page = Page(chat, generation)

    def respond(question: str, history: list[Any], video: str | None) -> Iterator[str]:
        try:
            yield from page.answer(question, history, video)
        except (BrokenVideoError, ValueError) as error:
            raise gr.Error(str(error), print_exception=False) from error

    page_options: dict[str, Any] = dict(analytics_enabled=False, delete_cache=(3600, 3600))
    with gr.Blocks(title='mmstan', **page_options) as blocks, gr.Row():
        video = gr.Video(label='Video', sources=['upload'], height=320)
        with gr.Column():
            gr.ChatInterface(respond, additional_inputs=[video], concurrency_limit=1)
    return blocks


def launch(
    chat: VideoChat,
    generation: Mapping[str, Any],
    *,
    host: str = '127.0.0.1',
    port: int | None = None,
) -> None:
    """Serve the page until Ctrl-C.

    Args:
        chat: The dialogue model.
        generation: Settings of :meth:`VideoChat.ask`.
        host: Address to listen at; ``'0.0.0.0'`` is every network of this machine.
        port: Its port; by default the first free one from 7860 on.

    Raises:
        ImportError: gradio is not installed.
        OSError: The port is in use.
    """
    blocks = build_page(chat, generation)
    blocks.queue(default_concurrency_limit=1).launch(
        server_name=host,
        server_port=port,
        share=False,
        ssr_mode=False,
        max_file_size=MEGABYTES * 2**20,
        footer_links=[],
    )
