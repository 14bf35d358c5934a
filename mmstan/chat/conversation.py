"""A conversation about one video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mmstan.chat.prompts import Message, list_messages

if TYPE_CHECKING:
    from mmstan.chat.video_chat import VideoChat


class Conversation:
    """Several turns about one video, which is encoded once, at the start.

    Args:
        chat: The dialogue model.
        tokens: Tokens of the video (1, S, C), of :meth:`VideoChat.encode`.
    """

    def __init__(self, chat: VideoChat, tokens: Tensor) -> None:
        self.chat, self.tokens = chat, tokens
        self.questions: list[str] = []
        self.answers: list[str] = []

    @property
    def messages(self) -> list[Message]:
        """All turns so far, in transformers' format; the video is in the first user turn."""
        return list_messages(self.questions, self.answers)

    def ask(self, question: str, **generation: Any) -> str:
        """Ask the next question; the answer joins the turns.

        Args:
            question: The question.
            **generation: See :meth:`VideoChat.ask`.
        """
        messages = list_messages([*self.questions, question], self.answers)
        answer = self.chat.complete(self.tokens, [messages], **generation)[0]
        self.add(question, answer)
        return answer

    def stream(self, question: str, **generation: Any) -> Iterator[str]:
        """Ask the next question and yield the answer piece by piece.

        The turn is added once the answer is complete.
        """
        messages = list_messages([*self.questions, question], self.answers)
        pieces = []
        for piece in self.chat.stream_completion(self.tokens, messages, **generation):
            pieces.append(piece)
            yield piece
        self.add(question, ''.join(pieces))

    def add(self, question: str, answer: str) -> None:
        """Append a turn that has been spoken elsewhere."""
        self.questions.append(question)
        self.answers.append(answer)
