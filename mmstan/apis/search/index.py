"""Videos of a folder, searched by text or by example."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mmstan.apis.search import changing
from mmstan.apis.search.changing import Changes
from mmstan.apis.search.encode import Broken, Encoder
from mmstan.apis.search.entries import (
    Entry,
    Segments,
    Source,
    Sources,
    check_segments,
    find_videos,
    list_sources,
)
from mmstan.apis.search.hits import Hit
from mmstan.apis.search.kinds import KINDS, Kind
from mmstan.apis.search.manifest import Manifest
from mmstan.apis.search.nearest import Nearest, NearestByTorch
from mmstan.apis.search.query import NO_MODEL
from mmstan.apis.search.searcher import Searcher
from mmstan.apis.search.store import Store
from mmstan.apis.search.table import Table
from mmstan.models.features import VideoFeatures
from mmstan.wording import check_choice


class SearchIndex:
    """An index of videos: search a text, an example or an embedding.

    The index holds the features of frames. A search takes the ``candidates`` videos that have the
    frames nearest to the query's words (:class:`~mmstan.apis.search.words.WordChoice`; to the
    sentence where the interaction reads no words), and ranks them by the model's own interaction,
    in float32, on the stored features. So a score is the model's similarity, to the rounding of
    ``store``.

    :meth:`build` and :meth:`open` make one. A folder is changed by one process at a time, and every
    change is whole or did not happen.

    Example::

        model = mmstan.load('my_model')
        index = mmstan.SearchIndex.build(model, 'videos/', 'videos.index')
        for hit in index.search('a dog catches a ball', top=5):
            print(hit.score, hit)
    """

    def __init__(self, table: Table, nearest: Nearest, model: Any, store: Store | None) -> None:
        self.model = model
        self.broken: Broken = []
        """Name and reason of the videos that the last change could not read."""
        self._searcher = Searcher(table, nearest, None if model is None else Encoder(model))
        self._store = store

    @classmethod
    def build(
        cls,
        model: Any,
        videos: Sources,
        folder: str | os.PathLike[str],
        *,
        kind: Kind = 'auto',
        store: Literal['float16', 'float32'] = 'float16',
        segments: Segments | None = None,
    ) -> SearchIndex:
        """Encode videos and write their index into a new folder.

        A build that is stopped goes on after its last whole block of 1,024 videos when it is
        started again.

        Args:
            model: A :class:`~mmstan.VideoModel` with a text tower.
            videos: A folder (the videos below it), a pattern (``'clips/*.mp4'``), a ``.csv`` with
                the column ``path``, a ``.txt`` with a path a line, a video, or a list of these.
            folder: Where the index will be.
            kind: How frames are searched, see :mod:`mmstan.apis.search.kinds`.
            store: Type of the stored features.
            segments: Cut long videos: length of a segment and distance of two segments' starts, in
                seconds. By default a video is one entry.

        Raises:
            ValueError: No video can be read, or the model's interaction cannot be searched.
            FileExistsError: The folder holds a finished index or other files.
            ImportError: The kind needs faiss, or there are too many videos without it.
        """
        check_choice('kind', kind, KINDS)
        check_choice('store', store, ('float16', 'float32'))
        options = dict(kind=kind, store=store, segments=check_segments(segments))
        sources = list_sources(videos)
        made, broken = changing.build_store(Encoder(model), sources, Path(folder), options)
        index = cls(made.table, changing.choose_nearest(made), model, made)
        index.broken = broken
        return index

    @classmethod
    def open(cls, folder: str | os.PathLike[str], model: Any = None) -> SearchIndex:
        """Open the index in a folder.

        Args:
            folder: The folder.
            model: The model that encoded its videos. Without one only embeddings are searched, and
                a score is the cosine of the best frame.

        Raises:
            ValueError: The model is another one, a file is damaged, or the build was not finished.
            FileNotFoundError: The folder holds no index.
        """
        store, nearest = changing.open_store(Path(folder))
        if not store.manifest.indexed and store.manifest.rows:
            raise ValueError(
                f'{folder}: its build was stopped after {store.manifest.rows} videos; build it '
                'again with the same videos, which goes on from there'
            )
        if model is not None:
            store.manifest.check_model(store.folder, model)
        return cls(store.table, nearest, model, store)

    @classmethod
    def of_features(
        cls, model: Any, names: Sequence[str], frames: Tensor, mask: Tensor
    ) -> SearchIndex:
        """An index in memory, of features that exist already.

        Args:
            model: Encodes texts and compares them; the one that made the features.
            names: Names of B videos.
            frames: Features of their frames (B, T, D), as :meth:`VideoModel.embed` gives them.
            mask: True for real frames (B, T).
        """
        video = Encoder(model).pool(VideoFeatures(frames.float(), mask))
        entries: list[Entry | None] = [Entry(str(name), None, None) for name in names]
        table = Table(entries, video.frames.numpy(), video.mask.numpy())
        return cls(table, NearestByTorch(table, len(entries)), model, None)

    @property
    def folder(self) -> Path | None:
        """Where it is; None of an index in memory."""
        return None if self._store is None else self._store.folder

    @property
    def manifest(self) -> Manifest:
        """The facts about an index in a folder."""
        return self._need_store().manifest

    @property
    def names(self) -> list[str]:
        """Paths of the videos, in the order in which they were added; one for each segment."""
        return [entry.path for entry in self._entries()]

    def __len__(self) -> int:
        return len(self._entries())

    def __repr__(self) -> str:
        return f'SearchIndex({self.folder or "in memory"}: {len(self)} videos)'

    def _entries(self) -> list[Entry]:
        entries = self._searcher.table.entries
        rows = None if self._store is None else self._store.manifest.indexed
        return [entry for entry in entries[:rows] if entry is not None]

    def search(
        self, query: Any, top: int = 10, *, candidates: int = 400, rerank: bool = True
    ) -> list[Hit]:
        """The videos nearest to a query, the best first.

        Args:
            query: A text; or a video as the model reads one (a path, frames (T, H, W, 3) uint8, an
                open file); or an embedding (D,), which counts as a text of one word; or the
                features of the frames of a video (T, D). A string that is the path of a file, or
                with a slash of a folder (of images), is a video.
            top: How many videos to give.
            candidates: How many videos the model compares with the query.
            rerank: False scores by the best cosine of a frame and a word.

        Raises:
            ValueError: The query is none of these, or there is no model for it.
            BrokenVideoError: The video cannot be read.
        """
        return self._searcher.search(query, top, candidates=candidates, rerank=rerank)

    def measure_recall(
        self, texts: Sequence[str] = (), *, top: int = 10, candidates: int = 400
    ) -> dict[str, float]:
        """Measure which share of the ``top`` truly nearest videos the first stage finds.

        The queries are ``texts``, or 200 stored frames. Gives per cent of these in as many
        (``in_top``), and among the candidates (``in_candidates``).
        """
        return self._searcher.measure_recall(texts, top=top, candidates=candidates)

    def add(self, videos: Sources) -> Changes:
        """Encode videos that are new, or changed since they were encoded, and add them.

        Args:
            videos: As for :meth:`build`.

        Raises:
            ValueError: The index has no folder or no model, or another process changes it.
        """
        sources = list_sources(videos)
        paths = find_videos(sources)
        store, encoder = self._need_store(), self._need_encoder()
        return self._after(changing.update_store(store, encoder, paths, sources, gone=False))

    def refresh(self) -> Changes:
        """Look at all files again: forget the ones that are gone, encode new and changed ones.

        Files are compared by path, size and time of change. New ones are looked for in the folders,
        patterns and lists that :meth:`build` and :meth:`add` were given.

        Raises:
            ValueError: As for :meth:`add`; or no file of a source is there.
        """
        return self._after(changing.refresh_store(self._need_store(), self._need_encoder()))

    def _after(self, result: tuple[Changes, Broken]) -> Changes:
        changes, self.broken = result
        store = self._need_store()
        nearest = changing.choose_nearest(store)
        self._searcher = Searcher(store.table, nearest, self._searcher.encoder)
        return changes

    def remove(self, names: Source | Iterable[Source]) -> Changes:
        """Remove videos by their paths, with all their segments.

        Raises:
            ValueError: A path is not in the index; nothing is removed then.
        """
        return self._after((changing.remove_paths(self._need_store(), list_sources(names)), []))

    def _need_store(self) -> Store:
        if self._store is None:
            raise ValueError('an index in memory is not changed: build one in a folder')
        return self._store

    def _need_encoder(self) -> Encoder:
        if self._searcher.encoder is None:
            raise ValueError(NO_MODEL)
        return self._searcher.encoder
