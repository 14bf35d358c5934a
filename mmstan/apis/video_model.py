"""A model in use: classify, embed and compare videos."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from torch import Tensor

from mmstan.apis.comparing import Score, encode_texts, list_texts, score_classes, score_texts
from mmstan.apis.description import ModelDescription, Views, to_json
from mmstan.apis.encoding import (
    Batch,
    encode_compared,
    encode_frames,
    encode_videos,
    find_interaction,
    is_retrieval,
    pool_videos,
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
from mmstan.apis.stream import FrameSharing, Segment, Stream, cut_pieces, make_segment
from mmstan.datasets.readers import BrokenVideoError
from mmstan.models.backbones import VideoBackbone
from mmstan.models.features import TextFeatures, VideoFeatures, l2_normalise
from mmstan.models.interactions import Interaction
from mmstan.wording import check_choice

if TYPE_CHECKING:
    from mmstan.apis.export import Format, PartName

Rows = list[tuple[Tensor | None, BrokenVideoError | None]]


class VideoModel:
    """A model with its pipeline, as :func:`mmstan.load` returns it.

    ``videos`` is one of these, or a list or iterator of them: a path, an address (``https://``,
    ``s3://``), a folder of images, the bytes of a video file, an open binary file, or frames
    (T, H, W, 3) as a uint8 RGB array or tensor. In float32, numbers are those of ``tools/test.py``,
    since model and pipeline are the config's.

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
        self._width = 0  # of the features, known after the first batch of a stream

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
        """Hash of config and weights; models of one identity and dtype give equal features."""
        if self._identity is None:
            self._identity = getattr(self.model, 'identity', None)  # of an ONNX file its own
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
            templates: Sentences with a ``{}`` for the name, such as ``'a video of {}'``; by default
                the head's own, and the names alone with a retrieval model.
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
                "give class_names=['...', '...'], or on the command line --classes FILE"
            )
        names = list(class_names) if class_names is not None else self.class_names
        with score_classes(self.model, class_names, templates) as score:
            found = self._map(videos, self._encoded(score), on_error)
        results = [make_scores(*pair, names, top) for pair in found]
        return results[0] if is_one(videos) else fill_in(results)

    def _pool(self, features: Any, batch: Batch) -> Tensor:
        return pool_videos(self.model, features, batch)

    # --- features ---

    def embed(self, videos: Videos, *, frames: bool = False, on_error: OnError = 'raise') -> Any:
        """Features of videos in the joint space.

        Args:
            videos: One video or several.
            frames: Whether to return a feature for each frame, of a recognizer before its neck.
            on_error: ``'skip'`` gives rows of NaN for broken videos if another one can be read.

        Returns:
            Unit features (N, D), float32, on the CPU; (D,) of one video. With ``frames`` a pair:
            features (N, T, D), not normalised, and the mask of real frames (N, T).

        Raises:
            BrokenVideoError: A video cannot be read, or with ``'skip'`` none of them, also of one.
        """
        if frames:
            return self._embed_with_mask(videos, encode_frames, on_error)
        features = self._stack(videos, self._encoded(self._pool), on_error, torch.empty(0))
        return features[0] if is_one(videos) else features

    def embed_compared(
        self, videos: Videos, *, on_error: OnError = 'raise'
    ) -> tuple[Tensor, Tensor]:
        """Features as :meth:`similarity` compares them, of a recognizer behind its neck.

        Args:
            videos: One video or several.
            on_error: ``'skip'`` gives rows of NaN for broken videos if another one can be read.

        Returns:
            Features (N, T, D), not normalised, and the mask of real frames (N, T). A neck that
            averages leaves one of T frames.

        Raises:
            BrokenVideoError: A video cannot be read, or with ``'skip'`` none of them.
        """
        return self._embed_with_mask(videos, encode_compared, on_error)

    def _embed_with_mask(
        self, videos: Videos, encode: Callable[[Any, Batch], VideoFeatures], on_error: OnError
    ) -> tuple[Tensor, Tensor]:
        """Frame features, and their mask, which is their last column for a while."""

        def join(batch: Batch) -> Tensor:
            video = encode(self.model, batch)
            return torch.cat([video.frames.float(), video.mask[..., None].float()], dim=-1)

        features = self._stack(videos, join, on_error, torch.empty(0, 1))
        return features[..., :-1], features[..., -1] > 0.5

    def _stack(
        self,
        videos: Videos,
        encode: Callable[[Batch], Tensor],
        on_error: OnError,
        nothing: Tensor,
    ) -> Tensor:
        """A row a video, NaN for broken ones."""
        rows = [value for value, _ in self._map(videos, encode, on_error)]
        first = next((row for row in rows if row is not None), None)
        if first is None and rows:
            raise BrokenVideoError(*self.broken[0])
        blank = nothing if first is None else torch.full_like(first, torch.nan)
        whole = [blank if row is None else row for row in rows]
        return torch.stack(whole) if whole else blank.expand(0, *blank.shape)

    def _encoded(self, score: Score) -> Callable[[Batch], Tensor]:
        """A function of features as one of the batch."""
        return lambda batch: score(encode_videos(self.model, batch), batch)

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
        text = encode_texts(self.model, list_texts(texts))
        text = TextFeatures(text.tokens.float().cpu(), text.sentence.float().cpu(), text.mask.cpu())
        return text if tokens else l2_normalise(text.sentence)

    # --- texts x videos ---

    def similarity(
        self, texts: Sequence[str], videos: Videos, *, on_error: OnError = 'raise'
    ) -> Tensor:
        """Similarities (A, N) of texts and videos, float32, by which retrieval ranks.

        A recognition model compares as its head does, without the scale.

        Args:
            texts: A texts.
            videos: One video or several.
            on_error: ``'skip'`` gives columns of NaN for broken videos.

        Raises:
            ValueError: The model has no text tower.
            BrokenVideoError: A video cannot be read.
        """
        texts = list_texts(texts)
        with score_texts(self.model, texts) as compare:
            found = self._map(videos, self._encoded(compare), on_error)
        blank = torch.full((len(texts),), torch.nan)
        columns = [blank if value is None else value for value, _ in found]
        return torch.stack(columns, dim=1) if columns else torch.empty(len(texts), 0)

    def similarity_of(self, text: TextFeatures, video: VideoFeatures) -> Tensor:
        """Similarities (A, B) of features, by the model's interaction."""
        text = TextFeatures(*(x.to(self.device) for x in text))
        parts: Any = (None if x is None else x.to(self.device) for x in video)
        with torch.no_grad():
            return self.interaction(text, VideoFeatures(*parts)).float().cpu()

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

    def stream(
        self,
        video: Stream,
        *,
        seconds: float = 8.0,
        stride: float = 4.0,
        class_names: Sequence[str] | None = None,
        texts: Sequence[str] | None = None,
        fps: float | None = None,
    ) -> Iterator[Segment]:
        """Classify a film or camera piece by piece, in one pass and in bounded memory.

        A piece lasts ``seconds``; the next one begins ``stride`` seconds later. The model sees as
        many frames of a piece as of a video. It sees each frame once where it treats them one by
        one (CLIP mean pooling).

        Args:
            video: A path or an address (``'rtsp://...'``), an open file, or an iterator of frames
                (H, W, 3), uint8 RGB.
            seconds: Length of a piece.
            stride: Seconds from the beginning of a piece to that of the next.
            class_names: Names of other classes than the model's.
            texts: Texts to compare pieces with, in the place of classes.
            fps: Frames a second of an iterator; of a file they are known.

        Yields:
            A :class:`~mmstan.apis.stream.Segment` a piece; the last one may be shorter.

        Raises:
            ValueError: A time is not above 0, ``fps`` is missing, or the pipeline's sampler leaves
                out frames (``frame_interval``).
            BrokenVideoError: The video cannot be read.
        """
        if texts is not None and class_names is not None:
            raise ValueError('stream: give class_names or texts, not both')
        names = self.class_names if class_names is None else list(class_names)
        use: Any = partial(nullcontext, None)  # of retrieval without names or texts: features alone
        if texts is not None:
            names = list_texts(texts)
            use = partial(score_texts, self.model, names)
        elif class_names is not None or not self.is_retrieval:
            use = partial(score_classes, self.model, class_names)
        with use() as score:  # an error now, and not after the first piece
            pass
        if self.is_retrieval:
            use = partial(nullcontext, score)  # it changes nothing in the model
        sharing = FrameSharing(self.model)
        for piece in cut_pieces(video, self.reader, seconds=seconds, stride=stride, fps=fps):
            with use() as score, sharing.use(piece.keys):  # the model is as before while we yield
                row = self._run([piece.sample], self._encoded(self._score_and_pool(score)))[0]
            scores, feature = row.tensor_split([len(row) - self._width])
            yield make_segment(piece, scores, feature, names)

    def _score_and_pool(self, score: Score | None) -> Score:
        """A function to scores and, behind them, the pooled feature: (N, K + D)."""

        def both(features: Any, batch: Batch) -> Tensor:
            pooled = self._pool(features, batch)
            self._width = pooled.shape[1]
            scores = () if score is None else (score(features, batch),)
            return torch.cat([*scores, pooled], dim=1)

        return both

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

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: Format = 'onnx',
        parts: Iterable[PartName] = ('video', 'text', 'scores'),
        dynamic: Iterable[Literal['batch']] = ('batch',),
        opset: int = 20,
        check: bool = True,
    ) -> dict[str, Path]:
        """Write the model as files that run without mmstan.

        ``video`` takes raw frames (N, 3, T, H, W) in the pipeline's shape and type, uint8, and
        gives ``features`` (N, D) or (N, T, D), and a recognizer's ``scores`` (N, K) before the
        softmax. ``text`` takes token ids (A, J). ``scores`` compares their features, (A, N). Mean
        and deviation are inside; the pipelines and class names are in the metadata, so that
        :func:`mmstan.load` uses an ONNX file as the model itself.

        Args:
            path: ``NAME.onnx`` or ``NAME.pt2`` for the videos; texts and scores are next to it,
                ``NAME.text.onnx`` and ``NAME.scores.onnx``.
            format: ``'onnx'``, or ``'torch'`` for :func:`torch.export.load`.
            parts: The parts to write. A model without a text tower has no text part.
            dynamic: ``('batch',)`` for any number of videos and texts, ``()`` for one each.
            opset: Version of ONNX's operators.
            check: Run the files with other batch sizes and compare with the model.

        Returns:
            The file of each part.

        Raises:
            ValueError: A part is missing, an option is none of its values, or a file gives other
                numbers than the model.
            ImportError: ONNX needs the extra ``export``.
        """
        from mmstan.apis.export import export_model

        options: Any = dict(format=format, parts=parts, dynamic=dynamic, opset=opset, check=check)
        return export_model(self, path, **options)

    def _autocast(self) -> Any:
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

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
                    self.broken.append((sample.name, sample.error.reason))
        return rows

    @torch.no_grad()
    def _run(self, samples: list[Sample], function: Callable[[Batch], Tensor]) -> Tensor:
        collated = pseudo_collate([sample.packed for sample in samples])
        batch = self.model.data_preprocessor(collated, False)
        with self._autocast():
            return function(batch).float().cpu()
