"""The dialogue model: a stock LLaVA of transformers, run on embeddings.

Letters: N conversations, J tokens of a prompt, S tokens of a video, C width of the tower, H of the
language model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmstan.chat.generation import choose_generation, seeded, stream_text
from mmstan.chat.prompts import Message, find_pad, find_real, tokenize


class Engine:
    """Continues conversations about videos whose tokens are given.

    Args:
        model: A ``transformers.LlavaForConditionalGeneration``. Its vision tower is not used.
        processor: Its processor.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor

    def embed(self, ids: Tensor, tokens: Tensor) -> Tensor:
        """Ids (N, J), with S image tokens a row, and a video's tokens (N, S, C) -> (N, S, H).

        The rows of the embeddings (N, J, H) at the image tokens are the projected video's.

        Raises:
            ValueError: A row has another number of image tokens.
        """
        embeddings = self.model.get_input_embeddings()(ids)
        projector = self.model.model.multi_modal_projector
        like = next(projector.parameters())
        projected = projector(tokens.to(like.device, like.dtype)).to(embeddings)
        image = ids.to(embeddings.device) == self.model.config.image_token_id
        counts = set(image.sum(dim=1).tolist())
        if counts != {tokens.shape[1]}:
            raise ValueError(
                f'the prompt has {", ".join(map(str, sorted(counts)))} image tokens, the video '
                f"{tokens.shape[1]}: a question must not contain '{self.processor.image_token}'"
            )
        return embeddings.masked_scatter(image[..., None], projected)

    def complete(
        self,
        tokens: Tensor,
        conversations: Sequence[Sequence[Message]],
        generation: Mapping[str, Any],
        *,
        num_frames: int = 1,
    ) -> list[str]:
        """The next answer in each of N conversations.

        Args:
            tokens: The videos' tokens (N, S, C).
            conversations: Their turns so far; the last one is a question.
            generation: See :meth:`VideoChat.ask`.
            num_frames: Frames that the S tokens are of, one after another.

        Raises:
            ValueError: Prompt and answer would be longer than the engine's positions.
        """
        run, seed = self._prepare(tokens, conversations, generation, num_frames)
        with seeded(seed):
            ids = run()
        texts = self.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def stream(
        self,
        tokens: Tensor,
        messages: Sequence[Message],
        generation: Mapping[str, Any],
        *,
        num_frames: int = 1,
    ) -> Iterator[str]:
        """The next answer in one conversation, piece by piece; see :meth:`complete`."""
        run, seed = self._prepare(tokens, [messages], generation, num_frames)
        with seeded(seed):
            yield from stream_text(self.processor.tokenizer, run)

    def _prepare(
        self,
        tokens: Tensor,
        conversations: Sequence[Sequence[Message]],
        generation: Mapping[str, Any],
        num_frames: int,
    ) -> tuple[Callable[..., Tensor], int | None]:
        """The call that generates the answers' ids, and the seed it is to start from."""
        options, seed = choose_generation(generation)
        ids = tokenize(self.processor, conversations, tokens.shape[1])
        self._check_length(ids.shape[1], options['max_new_tokens'], tokens.shape[1], num_frames)
        pad = find_pad(self.processor.tokenizer)
        real = find_real(ids, pad)
        with torch.no_grad():
            embeddings = self.embed(ids.to(self.model.device), tokens)
        run = partial(
            self.model.generate,
            inputs_embeds=embeddings,
            attention_mask=real.to(embeddings.device),
            pad_token_id=pad,
            **options,
        )
        return run, seed

    def _check_length(self, prompt: int, new: int, video: int, num_frames: int) -> None:
        """Refuse a prompt and an answer that are longer than the engine's positions.

        Raises:
            ValueError: Names the numbers: transformers itself would go on in silence.
        """
        most = self.model.config.text_config.max_position_embeddings
        if prompt + new <= most:
            return
        ways = [f'max_new_tokens={most - prompt} or less'] if prompt < most else []
        if num_frames > 1:
            fit = (most - new - prompt + video) // (video // num_frames)
            ways += [f"num_frames={fit}: so many fit with pool='frames'"] if fit > 0 else []
        mend = 'ask less at once, or start a new conversation'
        if ways:
            mend = f'give {", or ".join(ways)}'
        raise ValueError(
            f'{prompt} tokens of the prompt and max_new_tokens={new} are more than the '
            f'{most} positions of the engine; {mend}'
        )
