"""Ask a video: a LLaVA whose image tokens are a video's.

Letters: N videos, T frames, S tokens of a video, C width of the tower.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from mmstan.apis.inputs import Video
from mmstan.chat.branch_file import check_sizes, read_branch, read_facts
from mmstan.chat.conversation import Conversation
from mmstan.chat.encoder import VideoEncoder, require_branch
from mmstan.chat.engine import Engine
from mmstan.chat.loading import Quantize, check_engine, load_engine
from mmstan.chat.prompts import Message, list_messages
from mmstan.chat.video_tokens import ClassPlace, Pool, Scale, check_weight
from mmstan.chat.video_tower import frame_tower, video_tower
from mmstan.methods.stan import STAN
from mmstan.models.backbones import FrameEncoder


class VideoChat:
    """A LLaVA that answers questions about videos, with STAN's branch next to its tower.

    The tokens of tower and branch are mixed, averaged over the frames and go where an image's
    tokens went (Mug-STAN, Section IV-F; the details are BT-Adapter's). Nothing is tuned.

    Args:
        engine: The dialogue model.
        encoder: Makes its tokens of a video.
    """

    def __init__(self, engine: Engine, encoder: VideoEncoder) -> None:
        self.engine, self.encoder = engine, encoder

    @classmethod
    def from_pretrained(
        cls,
        engine: str | PathLike[str],
        branch: str | PathLike[str] | None = None,
        *,
        branch_weight: float = 0.5,
        num_frames: int = 12,
        pool: Pool = 'mean',
        class_token: ClassPlace | None = None,
        scale: Scale | None = None,
        levels: Sequence[int] | None = None,
        dtype: str | torch.dtype = 'auto',
        device_map: Any = 'auto',
        quantize: Quantize | None = None,
        local_files_only: bool = False,
    ) -> VideoChat:
        """Load an engine and a branch.

        The engine's own vision weights fill the tower, up to its feature layer; its vision tower is
        then deleted.

        Args:
            engine: A LLaVA with a CLIP tower: a name on the hub, or a folder.
            branch: A checkpoint of STAN, Mug-STAN or BT-Adapter with our names. None goes with
                ``branch_weight=0``.
            branch_weight: See :class:`mmstan.chat.encoder.VideoEncoder`, as for the next four.
            num_frames: T.
            pool: Of the frames.
            class_token: By default as the engine's ``vision_feature_select_strategy`` says.
            scale: Of the branch.
            levels: Tower blocks that the branch's layers read; by default the last ones.
            dtype: See :func:`mmstan.chat.loading.load_engine`, as for the rest.
            device_map: Devices of the model's parts.
            quantize: ``'4bit'`` or ``'8bit'``.
            local_files_only: Do not ask the network.

        Raises:
            ImportError: A package is missing.
            ValueError: The engine is another kind of model, or the branch does not fit it.
            OSError: The engine or the branch is not here.

        Example::

            from mmstan.chat import VideoChat

            chat = VideoChat.from_pretrained('llava-hf/llava-1.5-7b-hf', branch='bt_adapter.pth')
            print(chat.ask('video.mp4', 'What happens, and in which order?'))
        """
        check_weight(branch_weight)
        # Cheap checks before the weights of a large model are read.
        settings = check_engine(str(engine), local_files_only=local_files_only)
        require_branch(branch_weight, branch is not None)
        weights = None if branch is None else read_branch(str(branch))
        if weights is not None:
            check_sizes(read_facts(weights), settings.vision_config)
        model, processor = load_engine(
            engine,
            dtype=dtype,
            device_map=device_map,
            quantize=quantize,
            local_files_only=local_files_only,
        )
        config = model.config
        backbone = _take_tower(model, weights, levels)
        full = config.vision_feature_select_strategy == 'full'
        encoder = VideoEncoder(
            backbone,
            processor.image_processor,
            branch_weight=branch_weight,
            num_frames=num_frames,
            pool=pool,
            class_token=class_token or ('first' if full else 'none'),
            scale=scale,
        )
        return cls(Engine(model, processor), encoder)

    def encode(self, video: Video, *, branch_weight: float | None = None) -> Tensor:
        """See :meth:`mmstan.chat.encoder.VideoEncoder.encode`."""
        return self.encoder.encode(video, branch_weight=branch_weight)

    def embed(self, ids: Tensor, tokens: Tensor) -> Tensor:
        """See :meth:`mmstan.chat.engine.Engine.embed`."""
        return self.engine.embed(ids, tokens)

    def ask(self, video: Video, question: str, **generation: Any) -> str:
        """Ask a video one question.

        Args:
            video: See :meth:`encode`.
            question: The question.
            **generation: Arguments of transformers' ``generate``, over our defaults
                ``do_sample=True, temperature=0.2, max_new_tokens=1024``, and ``seed``.
                ``temperature=0`` is greedy.

        Raises:
            BrokenVideoError: The video cannot be read.
            ValueError: Prompt and answer would be longer than the engine's positions.
        """
        return self.start(video).ask(question, **generation)

    def ask_many(
        self, pairs: Sequence[tuple[Video, str]], batch: int = 4, **generation: Any
    ) -> list[str]:
        """Ask several questions, ``batch`` at a time; a video that comes twice is encoded once.

        Args:
            pairs: Videos and questions.
            batch: Number of questions at a time.
            **generation: See :meth:`ask`.
        """
        answers: list[str] = []
        known: dict[Any, Tensor] = {}
        for start in range(0, len(pairs), batch):
            some = pairs[start : start + batch]
            keys = [str(v) if isinstance(v, (str, PathLike)) else id(v) for v, _ in some]
            # The tokens of the last batch alone are kept: questions about a video are neighbours.
            known = {key: known[key] for key in keys if key in known}
            for key, (video, _) in zip(keys, some):
                if key not in known:
                    known[key] = self.encode(video)
            tokens = torch.cat([known[key] for key in keys])
            answers += self.answer(tokens, [question for _, question in some], **generation)
        return answers

    def stream(self, video: Video, question: str, **generation: Any) -> Iterator[str]:
        """:meth:`ask`, piece by piece."""
        return self.start(video).stream(question, **generation)

    def start(self, video: Video, *, branch_weight: float | None = None) -> Conversation:
        """Encode a video and start a conversation about it.

        Args:
            video: See :meth:`encode`.
            branch_weight: Instead of the chat's own.
        """
        return Conversation(self, self.encode(video, branch_weight=branch_weight))

    def answer(self, tokens: Tensor, questions: Sequence[str], **generation: Any) -> list[str]:
        """Answer a question about each of N encoded videos (N, S, C)."""
        turns = [list_messages([question], []) for question in questions]
        return self.complete(tokens, turns, **generation)

    def complete(
        self, tokens: Tensor, conversations: Sequence[Sequence[Message]], **generation: Any
    ) -> list[str]:
        """The next answer in each of N conversations about N encoded videos (N, S, C)."""
        frames = self.encoder.frames_in_a_row
        return self.engine.complete(tokens, conversations, generation, num_frames=frames)

    def stream_completion(
        self, tokens: Tensor, messages: Sequence[Message], **generation: Any
    ) -> Iterator[str]:
        """The next answer in a conversation about one encoded video, piece by piece."""
        frames = self.encoder.frames_in_a_row
        return self.engine.stream(tokens, messages, generation, num_frames=frames)


def _take_tower(
    model: Any, branch: dict[str, Tensor] | None, levels: Sequence[int] | None
) -> STAN | FrameEncoder:
    """Move a dialogue model's vision tower into a backbone; the model has none afterwards."""
    config, vision = model.config, model.model.vision_tower
    state, layer = vision.state_dict(), config.vision_feature_layer
    backbone: STAN | FrameEncoder
    if branch is None:
        backbone = frame_tower(config.vision_config, state, feature_layer=layer)
    else:
        backbone = video_tower(
            config.vision_config, state, branch=branch, feature_layer=layer, levels=levels
        )
    weight = next(vision.parameters())
    backbone.to(weight.device, weight.dtype)
    model.model.vision_tower = None
    return backbone
