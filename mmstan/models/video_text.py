"""Video-text retrieval: two towers and an interaction between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmaction.structures import ActionDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData
from torch import Tensor

from mmstan.models.backbones import VideoBackbone
from mmstan.models.features import TextFeatures, VideoFeatures, frame_mask, need_one
from mmstan.models.heads import RetrievalHead
from mmstan.models.interactions import Cosine
from mmstan.models.micro_batches import (
    check_micro_batch,
    encode_in_parts,
    refuse_batch_statistics,
)
from mmstan.models.towers import TextTower
from mmstan.registry import MODELS


@MODELS.register_module()
class VideoTextModel(BaseModel):
    """A video backbone and a text tower in one joint space, trained by contrast.

    Captions are a field of the data samples (``captions``, a list of str) and are tokenised here;
    or they are token ids from MMAction2's own pipelines (``inputs=dict(imgs=..., text=...)``). The
    data samples may have a frame mask, too (``frame_mask``).

    Args:
        backbone: Config of a video backbone.
        text_tower: Config of a text tower, of the same joint space.
        head: Config of a :class:`RetrievalHead`.
        neck: Config of a neck over the frames; None where the interaction reads frames.
        text_length: Longest caption in tokens, start and end of text included; longer ones are cut.
            The text tower's context length by default.
        micro_batch: Pairs that are encoded at a time in training, for batches that memory does not
            hold (:func:`~mmstan.models.micro_batches.encode_in_parts`). Loss and gradients are the
            whole batch's; it costs a third more arithmetic. None encodes the batch at once.
        data_preprocessor: Config of MMAction2's ``ActionDataPreprocessor``.

    Raises:
        ValueError: The joint spaces of the towers differ, there is a neck although the interaction
            reads the videos' tokens, or ``micro_batch`` is below 1.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        text_tower: dict[str, Any],
        head: dict[str, Any],
        *,
        neck: dict[str, Any] | None = None,
        text_length: int | None = None,
        micro_batch: int | None = None,
        data_preprocessor: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(None if data_preprocessor is None else MODELS.build(data_preprocessor))
        self.backbone: VideoBackbone = MODELS.build(backbone)
        self.neck = None if neck is None else MODELS.build(neck)
        self.text_tower: TextTower = MODELS.build(text_tower)
        self.head: RetrievalHead = MODELS.build(head)
        self.text_length = text_length
        check_micro_batch(micro_batch)
        self.micro_batch = micro_batch
        if self.backbone.out_dim != self.text_tower.joint_dim:
            raise ValueError(
                f'backbone.out_dim={self.backbone.out_dim}, but the joint space of text_tower has '
                f'{self.text_tower.joint_dim} dimensions; take both towers from one model'
            )
        if neck is not None and self.head.interaction.reads_video_tokens:
            raise ValueError(
                f'neck={neck["type"]!r} leaves no patch tokens for the interaction; remove the '
                "neck, or take video='frames'"
            )

    def forward(
        self,
        inputs: Tensor | dict[str, Tensor],
        data_samples: Sequence[ActionDataSample] | None = None,
        mode: Literal['tensor', 'loss', 'predict'] = 'tensor',
    ) -> Any:
        """A batch of N videos and their captions.

        Args:
            inputs: Clips (N, 1, 3, T, H, W) of ``FormatShape('NCTHW')`` or frames (N, T, 3, H, W)
                of ``'NCHW'``; or ``dict(imgs=..., text=ids (N, J))``.
            data_samples: N samples with ``captions``, unless ``inputs`` has the ids.
            mode: ``'loss'`` gives ``loss_t2v`` and ``loss_v2t`` of N pairs; ``'tensor'`` the
                :class:`TextFeatures` of all captions and the :class:`VideoFeatures`; ``'predict'``
                the data samples, each with the features of its captions (``text_features``) and of
                its video (``video_features``, no batch axis) in float32 on the CPU.

        Raises:
            ValueError: The inputs are of another form, a sample has no caption, or a batch norm is
            trained with ``micro_batch``.
        """
        imgs, ids = (inputs['imgs'], inputs['text']) if isinstance(inputs, dict) else (inputs, None)
        samples = list(data_samples or ())
        if ids is None:
            ids, counts = self._tokenize(samples, len(imgs))
        else:
            counts = [1] * len(samples)
        encode = self._encode_in_parts if mode == 'loss' else self._encode_pairs
        text, video = encode(ids, make_clips(imgs), samples)
        if mode == 'tensor':
            return text, video
        if mode == 'loss':
            return self.head.loss(text, video)
        if mode == 'predict':
            return self._attach_features(samples, text, video, counts)
        raise ValueError(f"mode={mode!r} must be 'tensor', 'loss' or 'predict'")

    def _encode_pairs(
        self, ids: Tensor, clips: Tensor, samples: Sequence[ActionDataSample]
    ) -> tuple[TextFeatures, VideoFeatures]:
        return self._encode_ids(ids), self.encode_videos(clips, data_samples=samples)

    def _encode_in_parts(
        self, ids: Tensor, clips: Tensor, samples: Sequence[ActionDataSample]
    ) -> tuple[TextFeatures, VideoFeatures]:
        """Encode the pairs of a training batch, ``micro_batch`` at a time."""
        # The head refuses a batch with another number of captions.
        pairs = ids.shape[0] == clips.shape[0]
        if self.micro_batch is None or self.micro_batch >= clips.shape[0] or not pairs:
            return self._encode_pairs(ids, clips, samples)
        for part in (self.backbone, self.neck, self.text_tower):
            if part is not None:
                refuse_batch_statistics(part)
        return encode_in_parts(
            self._encode_pairs, ids, clips, samples, micro_batch=self.micro_batch
        )

    def encode_texts(self, captions: Sequence[str]) -> TextFeatures:
        """Captions -> the :class:`TextFeatures` that the interaction reads."""
        return self._encode_ids(self.text_tower.tokenize(captions, self.text_length))

    def encode_videos(
        self, clip: Tensor, *, data_samples: Sequence[ActionDataSample] | None = None
    ) -> VideoFeatures:
        """Clips -> the :class:`VideoFeatures` that the interaction reads.

        Args:
            clip: Normalised frames (N, 3, T, H, W).
            data_samples: N samples, for their ``frame_mask``.

        Raises:
            ValueError: The backbone gives two values, such as X-CLIP's frames and their context.
        """
        tokens = None
        if self.head.interaction.reads_video_tokens:
            x = self.backbone.tokens(clip)  # (N, T, 1 + L, C)
            tower, flat = self.backbone.tower, x.flatten(0, 1)
            frames = tower.project(flat).unflatten(0, x.shape[:2])  # (N, T, D)
            # Every token in the joint space, frame after frame: (N, T * (1 + L), D).
            tokens = tower.project_tokens(flat).unflatten(0, x.shape[:2]).flatten(1, 2)
        else:
            frames = need_one(self.backbone(clip), type(self).__name__)
        if self.neck is not None:
            frames, _ = self.neck(frames, data_samples)
            if isinstance(frames, tuple):  # frames, and tokens for an interaction (CLIP2Video)
                frames, tokens = frames
        if frames.ndim == 2:  # the neck made one feature of a video
            return VideoFeatures(frames[:, None], frame_mask(frames[:, None]))
        return VideoFeatures(frames, frame_mask(frames, data_samples), tokens)

    @torch.no_grad()
    def similarity(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B) by which retrieval ranks, float32, without a scale."""
        return self.head(text, video)

    def _tokenize(
        self, samples: Sequence[ActionDataSample], videos: int
    ) -> tuple[Tensor, list[int]]:
        """Ids of all captions (A, J), and the number of captions of each video."""
        captions = [list(sample.get('captions', ())) for sample in samples]
        if len(captions) != videos or not all(captions):
            raise ValueError(
                f'{videos} videos, but {sum(map(bool, captions))} samples with captions: end the '
                "pipeline with PackActionInputs(algorithm_keys=('captions', 'frame_mask'))"
            )
        texts = [text for of_video in captions for text in of_video]
        return self.text_tower.tokenize(texts, self.text_length), [len(c) for c in captions]

    def _encode_ids(self, ids: Tensor) -> TextFeatures:
        text = self.text_tower(ids.to(self.text_tower.text.positional_embedding.device))
        if self.head.interaction.reads_text_tokens:
            return text
        sentence = text.sentence
        return TextFeatures(sentence[:, None], sentence, text.mask.new_ones(sentence.shape[0], 1))

    def _attach_features(
        self,
        samples: Sequence[ActionDataSample],
        text: TextFeatures,
        video: VideoFeatures,
        counts: Sequence[int],
    ) -> list[ActionDataSample]:
        # MMAction2's metric compares one vector a video: the interaction's own mean, or a cosine's.
        interaction = self.head.interaction
        pooled = interaction if isinstance(interaction, Cosine) else Cosine()
        whole = pooled.pool(video).cpu()
        texts = [_move_to_cpu(x).split(list(counts)) for x in text]
        frames, mask = _move_to_cpu(video.frames), _move_to_cpu(video.mask)
        tokens = None if video.tokens is None else _move_to_cpu(video.tokens)
        for i, sample in enumerate(samples):
            # Cloned, or pickling one sample would write the whole batch.
            sample.text_features = TextFeatures(*(x[i].clone() for x in texts))
            of_video = (
                frames[i].clone(),
                mask[i].clone(),
                None if tokens is None else tokens[i].clone(),
            )
            sample.video_features = VideoFeatures(*of_video)
            # The field that MMAction2's RetrievalMetric reads.
            first = sample.text_features.sentence[0]
            sample.features = InstanceData(video_feature=whole[i].clone(), text_feature=first)
        return list(samples)


def _move_to_cpu(x: Tensor) -> Tensor:
    x = x.detach().cpu()
    return x.float() if x.is_floating_point() else x


def make_clips(imgs: Tensor) -> Tensor:
    """Output of FormatShape, NCTHW or NCHW -> clips (N, 3, T, H, W)."""
    if imgs.ndim == 6 and imgs.shape[1] == 1:
        return imgs[:, 0]
    if imgs.ndim == 5 and imgs.shape[2] == 3:
        return imgs.transpose(1, 2)
    raise ValueError(
        f'inputs {tuple(imgs.shape)}: retrieval takes one clip and one crop of a video, '
        "(N, 1, 3, T, H, W) of FormatShape('NCTHW'), or (N, T, 3, H, W) of 'NCHW'"
    )
