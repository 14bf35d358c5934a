"""A model in use: classify, embed and compare videos."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor

from mmstan.apis.description import ModelDescription, Views, to_json
from mmstan.apis.encoding import (
    Batch,
    compare_with_classes,
    encode_frames,
    find_interaction,
    is_retrieval,
    pool_videos,
    predict_classes,
)
from mmstan.apis.inputs import (
    OnError,
    Sample,
    SampleReader,
    Video,
    Videos,
    batches,
    is_one,
    prepare_video,
    to_frames,
)
from mmstan.apis.package import save_package
from mmstan.apis.scores import fill_in, make_scores
from mmstan.datasets.readers import BrokenVideoError
from mmstan.models.backbones import VideoBackbone
from mmstan.models.features import TextFeatures, VideoFeatures, l2_normalise
from mmstan.models.heads import NamedClassesHead
from mmstan.models.interactions import Interaction
from mmstan.wording import check_choice

Rows = list[tuple[Tensor | None, BrokenVideoError | None]]


class VideoModel:
    """A model with its pipeline, as :func:`mmstan.load` returns it.

    ``videos`` is one of these, or a list or iterator of them: a path, an address (``https://``,
    ``s3://``), a folder of images, the bytes of a video file, an open binary file, or frames
    (T, H, W, 3) as a uint8 RGB array or tensor. Numbers are those of ``tools/test.py``, since model
    and pipeline are the config's.

    Args:
        model: A recognizer or :class:`~mmstan.models.VideoTextModel` with its weights.
        description: Its config, pipelines and class names.
        device: Where it runs.
        dtype: ``torch.float32``, or the type of autocast, ``torch.bfloat16`` or ``torch.float16``.
            Scores and features are float32.
        views: 1 takes the centre of a video, ``'test'`` the views of the config's test.
        batch_size: Videos that go through the model at once.
        workers: Threads that read videos ahead of the model; 0 reads between batches.

    Raises:
        ValueError: An option is not one of its values.
    """

    def __init__(
        self,
        model: Any,
        description: ModelDescription,
        *,
        device: str | torch.device = 'cpu',
        dtype: torch.dtype = torch.float32,
        views: Views = 1,
        batch_size: int = 8,
        workers: int = 2,
    ) -> None:
        check_choice('views', views, (1, 'test'))
        check_choice('dtype', dtype, (torch.float32, torch.bfloat16, torch.float16))
        if batch_size < 1 or workers < 0:
            raise ValueError(f'batch_size={batch_size} is at least 1, workers={workers} at least 0')
        self.device, self.dtype = torch.device(device), dtype
        self.model = model.to(self.device).eval()
        self.description = description
        self.batch_size = batch_size
        pipeline = description.pipelines['val' if views == 1 else 'test']
        self.reader = SampleReader(pipeline, workers=workers, ahead=2 * batch_size)
        self.broken: list[tuple[str, str]] = []
        """Name and reason of the videos that the last call could not read."""
        self._identity: str | None = None

    def __repr__(self) -> str:
        kind, name = self.description.task, self.description.name
        return f'VideoModel({name}: {kind}, {self.device}, {self.dtype})'

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes, in class order; None for retrieval and where they are not known."""
        return self.description.class_names

    @property
    def interaction(self) -> Interaction:
        """The interaction that compares texts and videos; a cosine where there is none."""
        return find_interaction(self.model)

    @property
    def is_retrieval(self) -> bool:
        """Whether the model compares texts and videos, and has no classes of its own."""
        return is_retrieval(self.model)

    @property
    def identity(self) -> str:
        """Hash of config and weights; two models with one identity give equal features."""
        if self._identity is None:
            digest = hashlib.sha256(to_json(self.description).encode())
            for name, value in self.model.state_dict().items():
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
            self._identity = digest.hexdigest()
        return self._identity

    # --- classify ---

    def classify(
        self,
        videos: Videos,
        class_names: Sequence[str] | None = None,
        *,
        templates: Sequence[str] | None = None,
        top: int = 5,
        on_error: OnError = 'raise',
    ) -> Any:
        """The classes of videos.

        A retrieval model classifies by the similarity of a video with the names, and a recognition
        model with other names than its own does, too (zero-shot).

        Args:
            videos: One video or several.
            class_names: Names of other classes than the model's; a retrieval model needs them.
            templates: Sentences with a ``{}`` for the name, such as ``'a video of {}'``.
            top: How many classes ``names`` and ``values`` have.
            on_error: ``'skip'`` gives :class:`Scores` with an ``error`` for a broken video.

        Returns:
            :class:`Scores`; a list of them for several videos.

        Raises:
            ValueError: The model has no classes and no names are given, or it knows its own only.
            BrokenVideoError: A video cannot be read.
        """
        if templates is not None and class_names is None:
            class_names = self.class_names
        if self.is_retrieval and class_names is None:
            raise ValueError(
                f'{self.description.name} is a retrieval model and has no classes: '
                "give class_names=['...', '...']"
            )
        names = list(class_names) if class_names is not None else self.class_names
        with self._use_names(class_names, templates or ('{}',)) as score:
            found = self._map(videos, score, on_error)
        results = [make_scores(*pair, names, top) for pair in found]
        return results[0] if is_one(videos) else fill_in(results)

    @contextmanager
    def _use_names(
        self, names: Sequence[str] | None, templates: Sequence[str]
    ) -> Iterator[Callable[[Batch], Tensor]]:
        """Give the function from a batch to probabilities (N, K) of these names."""
        if self.is_retrieval:
            text = self._encode_classes(names or (), templates)
            scale = self.model.head.scale
            yield lambda batch: (scale * self._compare(text, batch)).softmax(dim=-1)
        elif names is None:
            yield partial(predict_classes, self.model)
        else:
            with self._text_head('classes other than its own').swap_names(names, templates):
                yield partial(predict_classes, self.model)

    def _text_head(self, wanted: str) -> NamedClassesHead:
        head = self.model.cls_head
        if not isinstance(head, NamedClassesHead):
            raise ValueError(
                f'{self.description.name}: a {type(head).__name__} knows its own classes only, and '
                f'no {wanted}; take a config with mmstan.TextHead, or a retrieval config'
            )
        return head

    def _encode_classes(self, names: Sequence[str], templates: Sequence[str]) -> TextFeatures:
        """Names in templates; sentences of several templates are averaged, as CLIP does."""
        if isinstance(names, str) or not names:
            raise ValueError(f'class_names={names!r}: give a list of names')
        sets = [self._encode_texts([t.format(name) for name in names]) for t in templates]
        if len(sets) == 1:
            return sets[0]
        if self.interaction.reads_text_tokens:
            raise ValueError(
                f'templates={list(templates)}: {type(self.interaction).__name__} compares words, '
                'which cannot be averaged over templates; give one'
            )
        sentence = torch.stack([l2_normalise(text.sentence) for text in sets]).mean(dim=0)
        return TextFeatures(sentence[:, None], sentence, sets[0].mask[:, :1])

    # --- features ---

    def embed(self, videos: Videos, *, frames: bool = False, on_error: OnError = 'raise') -> Any:
        """Features of videos in the joint space.

        Args:
            videos: One video or several.
            frames: Whether to return a feature for each frame, as the interaction reads them.
            on_error: ``'skip'`` gives rows of NaN for broken videos.

        Returns:
            Unit features (N, D), float32, on the CPU; (D,) of one video. With ``frames`` a pair:
            features (N, T, D), not normalised, and the mask of real frames (N, T).

        Raises:
            BrokenVideoError: A video cannot be read.
        """
        found = self._map(videos, self._with_mask if frames else self._pool, on_error)
        rows = [value for value, _ in found]
        first = next((row for row in rows if row is not None), None)
        if first is None and rows:
            raise BrokenVideoError(*self.broken[0])
        blank = torch.empty(0, 1) if first is None else torch.full_like(first, torch.nan)
        whole = [blank if row is None else row for row in rows]
        features = torch.stack(whole) if whole else blank.expand(0, *blank.shape)
        if not frames:
            return features[0] if is_one(videos) else features
        return features[..., :-1], features[..., -1] > 0.5

    def _pool(self, batch: Batch) -> Tensor:
        return pool_videos(self.model, batch)

    def _with_mask(self, batch: Batch) -> Tensor:
        """Frame features, and their mask as the last column: (N, T, D + 1)."""
        video = encode_frames(self.model, batch)
        return torch.cat([video.frames.float(), video.mask[..., None].float()], dim=-1)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str], *, tokens: bool = False) -> Any:
        """Features of texts in the joint space.

        Args:
            texts: A texts.
            tokens: Whether to return the :class:`~mmstan.models.features.TextFeatures` that the
                interaction reads, in the place of unit sentences.

        Returns:
            Unit sentences (A, D), float32, on the CPU; or the features of every token.

        Raises:
            ValueError: The model has no text tower.
        """
        text = self._encode_texts(_list_texts(texts))
        text = TextFeatures(text.tokens.float().cpu(), text.sentence.float().cpu(), text.mask.cpu())
        return text if tokens else l2_normalise(text.sentence)

    @torch.no_grad()
    def _encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        if self.is_retrieval:
            with self._autocast():
                return self.model.encode_texts(texts)
        head = self._text_head('texts')
        tower = head.texts.tower
        return tower(tower.tokenize(texts).to(self.device))

    # --- texts x videos ---

    def similarity(self, texts: Sequence[str], videos: Videos) -> Tensor:
        """Similarities (A, N) of texts and videos, float32: what retrieval ranks by.

        A recognition model compares as its head does, without the scale.

        Raises:
            ValueError: The model has no text tower.
            BrokenVideoError: A video cannot be read.
        """
        texts = _list_texts(texts)
        if self.is_retrieval:
            text = self._encode_texts(texts)
            found = self._map(videos, lambda batch: self._compare(text, batch), 'raise')
        else:
            head = self._text_head('texts')
            with head.swap_names(texts):
                found = self._map(videos, partial(compare_with_classes, self.model), 'raise')
        columns = [value for value, _ in found if value is not None]
        return torch.stack(columns, dim=1) if columns else torch.empty(len(texts), 0)

    def similarity_of(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B) of features, by the model's interaction."""
        text = TextFeatures(*(x.to(self.device) for x in text))
        parts: Any = (None if x is None else x.to(self.device) for x in video)
        with torch.no_grad():
            return self.interaction(text, VideoFeatures(*parts)).float().cpu()

    def _compare(self, text: TextFeatures, batch: Batch) -> Tensor:
        """Similarities (N, A) of a batch of videos and A texts."""
        return self.model.similarity(text, encode_frames(self.model, batch)).T

    # --- inside ---

    def tokens(self, videos: Videos) -> Tensor:
        """Patch tokens of the first view, (N, T, 1 + L, C), for pictures and detection.

        Raises:
            ValueError: The backbone is none of mmstan.
        """
        backbone = self.model.backbone
        if not isinstance(backbone, VideoBackbone):
            raise ValueError(f'{type(backbone).__name__} is no backbone of mmstan: no tokens')

        def tokens(batch: Batch) -> Tensor:
            return backbone.tokens(batch['inputs'][:, 0]).float()

        found = self._map(videos, tokens, 'raise')
        return torch.stack([value for value, _ in found if value is not None])

    def frames(self, video: Video) -> np.ndarray:
        """The frames that the model sees of a video, (T, H, W, 3), uint8 RGB.

        Raises:
            BrokenVideoError: The video cannot be read.
        """
        return to_frames(self.reader.pipeline(prepare_video(video)))

    # --- share ---

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model into a folder, from which :func:`mmstan.load` reads it anywhere.

        Raises:
            ValueError: The config holds something that cannot be written as JSON.
            FileExistsError: The folder holds other files.
        """
        save_package(folder, self.description, self.model)

    def push_to_hub(self, repo: str, *, private: bool = True) -> str:
        """Save the model on the Hugging Face hub, ``OWNER/NAME``; returns its address."""
        from mmstan.apis.hub import push_model

        return push_model(self, repo, private=private)

    def _autocast(self) -> Any:
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    @torch.no_grad()
    def _map(self, videos: Videos, function: Callable[[Batch], Tensor], on_error: OnError) -> Rows:
        """A row of ``function``'s result for each video, on the CPU, or why there is none."""
        check_choice('on_error', on_error, ('raise', 'skip'))
        self.broken = []
        rows: Rows = []
        for batch in batches(self.reader.read(videos, on_error), self.batch_size):
            good = [sample for sample in batch if sample.packed is not None]
            values = iter(self._run(good, function) if good else ())
            for sample in batch:
                rows.append((None if sample.packed is None else next(values), sample.error))
                if sample.error is not None:
                    self.broken.append((sample.error.filename, sample.error.reason))
        return rows

    def _run(self, samples: list[Sample], function: Callable[[Batch], Tensor]) -> Tensor:
        collated = pseudo_collate([sample.packed for sample in samples])
        batch = self.model.data_preprocessor(collated, False)
        with self._autocast():
            return function(batch).float().cpu()


def _list_texts(texts: Any) -> list[str]:
    if isinstance(texts, str):
        return [texts]
    texts = list(texts)
    wrong = next((text for text in texts if not isinstance(text, str)), None)
    if not texts or wrong is not None:
        raise ValueError(f'texts: {wrong!r} is no text; give one str or more')
    return texts
