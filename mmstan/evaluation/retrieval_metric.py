"""Metric of text-to-video and video-to-text retrieval, scored by the model's own interaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor, nn

from mmstan.evaluation.finite import WithoutNaN
from mmstan.evaluation.gallery import Gallery, drop_broken, join_gallery, keep_fields
from mmstan.evaluation.normalisation import dual_softmax, qb_norm
from mmstan.evaluation.ranks import (
    TIES,
    Ties,
    summarise,
    text_to_video_ranks,
    video_to_text_ranks,
)
from mmstan.evaluation.scores import Blocks, ScoreBlocks
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.registry import METRICS
from mmstan.wording import check_choice

_LOOP = (
    "RetrievalMetric needs val_cfg=dict(type='mmstan.RetrievalValLoop') and "
    "test_cfg=dict(type='mmstan.RetrievalTestLoop'), which give it the model, or use_model(model)"
)


@METRICS.register_module()
class RetrievalMetric(BaseMetric):
    """Recall at k (per cent), median and mean rank of both directions.

    Keys: ``t2v/R1`` ... ``t2v/MdR``, ``t2v/MnR``, ``v2t/...`` and ``rsum``, the sum of R1, R5 and
    R10 of both directions. If videos have several captions, each caption is a query, and
    ``v2t_group`` and ``v2t_caption`` (see :class:`VideoRanks`) replace ``v2t``; ``rsum`` uses
    ``v2t_group``. ``missing`` counts the videos that the data set did not find, ``left_out`` the
    broken ones; their captions are no queries.

    Args:
        topk: The k of the recalls.
        ties: How candidates with equal scores count (:data:`Ties`); repeated captions do tie.
        dsl: Report dual softmax too, as ``dsl/t2v/R1`` ... It is transductive.
        qb_norm: Report QB-Norm too, as ``qb_norm/t2v/R1`` ...: ``dict(beta=20.0, k=1)``, which are
            the defaults of both. It is transductive, and needs the loop's ``bank_dataloader``.
        logit_scale: 1 / temperature of dual softmax; by default ``model.head.scale``.
        collect_device: As in MMEngine's metrics, also the next two.
        prefix: Prefix of the keys.
        collect_dir: Folder in which the processes exchange their features.
    """

    default_prefix = 'retrieval'

    def __init__(
        self,
        *,
        topk: Sequence[int] = (1, 5, 10, 50),
        ties: Ties = 'average',
        dsl: bool = False,
        qb_norm: Mapping[str, Any] | None = None,
        logit_scale: float | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        check_choice('ties', ties, list(TIES))
        if qb_norm is not None and set(qb_norm) - {'beta', 'k'}:
            raise ValueError(
                f'qb_norm={dict(qb_norm)} may have beta and k, as dict(beta=20.0, k=1)'
            )
        self.topk, self.ties, self.dsl, self.qb_norm = topk, ties, dsl, qb_norm
        self.logit_scale = logit_scale
        self.missing = 0
        self._model: Any = None
        self._bank: tuple[TextFeatures, VideoFeatures] | None = None

    @property
    def wants_bank(self) -> bool:
        """Whether :meth:`use_bank` must be called before :meth:`evaluate`."""
        return self.qb_norm is not None

    def use_model(self, model: nn.Module) -> None:
        """Score by ``model.similarity(text, video)``, on the model's device.

        Raises:
            ValueError: The model has no ``similarity``.
        """
        if not hasattr(model, 'similarity'):
            raise ValueError(
                f'model={type(model).__name__} has no similarity(text, video), which '
                "RetrievalMetric scores by; take model=dict(type='mmstan.VideoTextModel')"
            )
        self._model = model

    def use_bank(self, text: TextFeatures, video: VideoFeatures) -> None:
        """Captions and videos of the training data, encoded by the same weights, for QB-Norm."""
        self._bank = text, video

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the features of a batch of data samples (as dictionaries).

        Raises:
            ValueError: No model was given.
        """
        if self._model is None:  # raised early and in every process, not at the end in the first
            raise ValueError(_LOOP)
        self.results.extend(map(keep_fields, data_samples))

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """Key -> value over the readable videos."""
        counted, broken = drop_broken(results, what='the ranks')
        gallery = join_gallery(counted)
        metrics: dict[str, float] = {}
        for name, t2v, v2t in self._normalised(gallery):
            metrics |= {name + key: x for key, x in self._ranked(t2v, v2t, gallery.owners).items()}
        if broken:
            metrics['left_out'] = broken
        if self.missing:
            metrics['missing'] = self.missing
        return metrics

    def _blocks(self, text: TextFeatures, video: VideoFeatures) -> ScoreBlocks:
        device = next(self._model.parameters()).device
        return ScoreBlocks(self._model.similarity, text, video, device=device)

    def _normalised(self, gallery: Gallery) -> Iterator[tuple[str, Blocks, Blocks]]:
        """Prefix of the keys, scores for t2v, scores for v2t: plain, then the normalised ones."""
        text, video, _ = gallery
        plain = WithoutNaN(self._blocks(text, video))
        yield '', plain, plain
        if self.dsl:
            _say_transductive('dsl', f'all {plain.shape[0]} captions and {plain.shape[1]} videos')
            scale = self._model.head.scale if self.logit_scale is None else self.logit_scale
            t2v, v2t = (
                dual_softmax(plain, direction, logit_scale=float(scale))
                for direction in ('t2v', 'v2t')
            )
            yield 'dsl/', t2v, v2t
        if self.qb_norm is not None:
            if self._bank is None:
                raise ValueError(
                    f'qb_norm={dict(self.qb_norm)} needs a bank: give bank_dataloader to the loop, '
                    'or call use_bank(text, video)'
                )
            texts, videos = self._bank
            bank = self._blocks(texts, video), self._blocks(text, videos)
            sizes = bank[0].shape[0], bank[1].shape[1]
            _say_transductive('qb_norm', f'a bank of {sizes[0]} captions and {sizes[1]} videos')
            yield (
                'qb_norm/',
                qb_norm(plain, bank[0], 't2v', **self.qb_norm),
                qb_norm(plain, bank[1], 'v2t', **self.qb_norm),
            )

    def _ranked(self, t2v: Blocks, v2t: Blocks, owners: Tensor) -> dict[str, float]:
        of_texts = text_to_video_ranks(t2v, owners, ties=self.ties)
        of_videos = video_to_text_ranks(v2t, owners, ties=self.ties)
        ranks = dict(t2v=of_texts)
        if len(of_videos.group) < len(of_texts):
            ranks |= dict(v2t_group=of_videos.group, v2t_caption=of_videos.caption)
        else:
            ranks |= dict(v2t=of_videos.caption)
        found = {
            f'{direction}/{key}': value
            for direction, of in ranks.items()
            for key, value in summarise(of, self.topk).items()
        }
        recalls = [summarise(of, (1, 5, 10)) for of in (of_texts, of_videos.group)]
        return found | dict(rsum=sum(r['R1'] + r['R5'] + r['R10'] for r in recalls))


def _say_transductive(name: str, by: str) -> None:
    print_log(
        f'{name} is transductive: the score of a query depends on {by}; say so beside its numbers',
        logger='current',
    )
