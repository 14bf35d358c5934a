"""An exported ONNX file in use, with the interface of the models that it comes from.

So :class:`~mmstan.VideoModel` classifies, embeds and compares with it as with any other model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from mmaction.models.heads import BaseHead
from torch import Tensor, nn

from mmstan.apis.description import ModelDescription
from mmstan.apis.export.modules import mask_frames
from mmstan.apis.export.onnx_files import read_onnx, run_session
from mmstan.apis.export.onnx_parts import Parts
from mmstan.models.features import TextFeatures, VideoFeatures, frame_mask, l2_normalise
from mmstan.models.heads import VerbNounHead, check_templates
from mmstan.models.heads.verb_noun_head import TASKS
from mmstan.models.interactions import Cosine, Interaction
from mmstan.registry import MODELS


def load_onnx(path: str, *, allow: Sequence[str] = ()) -> tuple[nn.Module, ModelDescription]:
    """Load the video part of an exported model; the others are loaded when they are needed.

    Raises:
        ValueError: The file is damaged, foreign, or another part.
    """
    file = read_onnx(path)
    if file.part != 'video':
        raise ValueError(f'{path} is the {file.part} part of a model; load the file of its videos')
    description = file.describe(tuple(allow))
    kind = OnnxRetrieval if description.task == 'retrieval' else OnnxRecognizer
    return kind(Parts(file, description)), description


class OnnxNetwork(nn.Module):
    """The base: reads frames as the pipeline gives them, and has a name of its own.

    Args:
        parts: The files.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts
        self.backbone = nn.Identity()  # for messages; what it would compute is in the file

    @property
    def identity(self) -> str:
        """Hash of the file: files with other weights have another one."""
        digest = hashlib.sha256()
        with open(self.parts.file.path, 'rb') as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """There is none.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f'{self.parts.file.path} is an ONNX file and cannot be saved as another one: copy it, '
            'or load the model that it comes from'
        )

    def data_preprocessor(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Stack the samples: mean and deviation are in the file."""
        return dict(data, inputs=torch.stack(list(data['inputs'])))

    def run_video(self, clips: Tensor, mask: Tensor | None = None) -> list[Tensor]:
        """Raw clips (N, 3, T, H, W) and the mask (N, T) -> outputs of the video part."""
        inputs = dict(frames=clips)
        return run_session(
            self.parts.video, inputs if mask is None else {**inputs, 'frame_mask': mask}
        )


class OnnxRecognizer(OnnxNetwork):
    """Has of a recognizer what :mod:`mmstan.apis.encoding` asks for."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        pair = f'scores_{TASKS[0]}' in parts.outputs
        self.cls_head: Any = OnnxPairHead(parts) if pair else OnnxHead(parts)

    def extract_feat(
        self, inputs: Tensor, test_mode: bool = True
    ) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
        """Clips (N, views, 3, T, H, W) -> all outputs of the file, a row a view."""
        return tuple(self.run_video(inputs.flatten(0, 1))), {}


class OnnxRetrieval(OnnxNetwork):
    """Has of a :class:`~mmstan.models.VideoTextModel` what :mod:`mmstan.apis.encoding` asks for."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        interaction = make_interaction(parts, parts.description.model.head.interaction)
        self.head = SimpleNamespace(interaction=interaction, scale=parts.scale)

    def encode_videos(
        self, clip: Tensor, *, data_samples: Sequence[Any] | None = None
    ) -> VideoFeatures:
        """Raw clips -> features, as the interaction reads them."""
        mask = frame_mask(clip[:, 0, :, 0], data_samples)  # (N, T)
        frames, *tokens = self.run_video(clip, mask)
        return VideoFeatures(frames, mask_frames(frames, mask), *tokens)

    def encode_texts(self, captions: Sequence[str]) -> TextFeatures:
        """Captions -> features, as the interaction reads them."""
        return self.parts.encode_texts(captions)

    def similarity(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, N), without a scale."""
        return self.head.interaction(text, video)


def make_interaction(parts: Parts, cfg: dict[str, Any]) -> Interaction:
    """A cosine as it is, since it has no weights; any other one as the scores part."""
    cls = MODELS.get(cfg['type'])
    if issubclass(cls, Cosine):
        return MODELS.build(cfg)
    return OnnxInteraction(parts)


class OnnxInteraction(Interaction):
    """The scores part."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B)."""
        features = dict(features=video.frames, frame_mask=video.mask)
        if video.tokens is not None:
            features['video_tokens'] = video.tokens
        return self.parts.compare(text, features)


class OnnxHead(BaseHead):
    """Takes the scores out of the outputs; with other texts it runs the scores part.

    Args:
        parts: The files.
    """

    def __init__(self, parts: Parts) -> None:
        cfg = parts.description.model.cls_head
        names = parts.description.class_names or ()
        super().__init__(len(names), 0, average_clips=cfg.get('average_clips', 'prob'))
        self.parts, self.scale = parts, parts.scale
        self.templates = tuple(cfg.get('templates', ('{}',)))
        self.sample_template = bool(cfg.get('sample_template'))
        self.context_vectors = int(cfg.get('context_vectors', 0))
        given = cfg.get('interaction')
        self.interaction = None if given is None else make_interaction(parts, given)
        self.swapped: TextFeatures | None = None
        self.lengths: Tensor | float = 1.0  # of the swapped features, which the file normalises
        # Texts, templates, features and lengths of the last swap: a stream swaps for every piece.
        self._last: tuple[list[str], list[str], TextFeatures, Tensor | float] | None = None

    def forward(self, x: Sequence[Tensor], **kwargs: Any) -> Tensor:
        """Outputs of the video part -> scores (N, K)."""
        outputs = dict(zip(self.parts.outputs, x))
        if self.swapped is not None:
            return self.scale * self.parts.compare(self.swapped, outputs).T * self.lengths
        if 'scores' not in outputs:
            raise ValueError(f"{self.parts.file.path} was exported without parts=('scores',)")
        return outputs['scores']

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts, not normalised."""
        return self.parts.encode_texts(texts)

    @contextmanager
    def swap_names(
        self, texts: Sequence[str], templates: Sequence[str] = ('{}',)
    ) -> Iterator[None]:
        """Within, the classes are other texts.

        Raises:
            ValueError: The head reads words, which cannot be averaged over templates, or has
                learned words, which are not in the file.
        """
        if not texts or isinstance(texts, str):
            raise ValueError(f'{texts!r}: give a list of texts, one a class')
        if self.context_vectors:
            raise ValueError(
                f'context_vectors={self.context_vectors}: the learned words are not in '
                f'{self.parts.file.path}; other texts need the saved model'
            )
        check_templates(templates)
        if len(templates) > 1 and self.parts.file.use.get('text_tokens'):
            raise ValueError(
                f'templates={list(templates)}: words of several sentences cannot be averaged; give '
                'one'
            )
        before = self.swapped, self.lengths
        if self._last is None or self._last[:2] != (list(texts), list(templates)):
            self._last = (list(texts), list(templates), *self._encode_classes(texts, templates))
        _, _, self.swapped, self.lengths = self._last
        try:
            yield
        finally:
            self.swapped, self.lengths = before

    def _encode_classes(
        self, texts: Sequence[str], templates: Sequence[str]
    ) -> tuple[TextFeatures, Tensor | float]:
        """Texts in templates; sentences of several templates are averaged. Gives their lengths."""
        sets = [self.encode_texts([t.format(text) for text in texts]) for t in templates]
        if len(sets) == 1:
            return sets[0], 1.0
        sentence = torch.stack([l2_normalise(x.sentence) for x in sets]).mean(dim=0)
        # With `sample_template` the mean of the templates' scores, see `ClassTexts`.
        lengths = sentence.norm(dim=-1) if self.sample_template else 1.0
        return TextFeatures(sets[0].tokens, sentence, sets[0].mask), lengths


class OnnxPairHead(VerbNounHead):
    """Takes the scores of verbs and nouns out of the outputs."""

    def __init__(self, parts: Parts) -> None:
        nn.Module.__init__(self)
        self.parts = parts

    def forward(self, x: Sequence[Tensor], **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Outputs of the video part -> scores of verbs (N, V) and of nouns (N, N')."""
        outputs = dict(zip(self.parts.outputs, x))
        verb, noun = (outputs[f'scores_{task}'] for task in TASKS)
        return verb, noun
