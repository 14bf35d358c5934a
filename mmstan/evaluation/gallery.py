"""Join the features of single samples into one batch of texts and videos."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmstan.evaluation.finite import holds_nan, refuse_nan, sample_name
from mmstan.evaluation.scores import map_tensors
from mmstan.models.features import TextFeatures, VideoFeatures

Result = dict[str, Any]


class Gallery(NamedTuple):
    """B videos and their A captions; the captions of a video are neighbouring rows."""

    text: TextFeatures
    video: VideoFeatures
    owners: Tensor
    """The video of each caption, int64 (A,), ascending."""


def keep_fields(sample: Mapping[str, Any]) -> Result:
    """The fields of a :class:`VideoTextModel`'s data sample that a metric needs.

    A sample flagged ``broken`` keeps its name and reason only. It cannot be left out here: every
    rank must have equally many results, or MMEngine drops some.
    """
    if sample.get('broken'):
        return dict(video_id=sample.get('video_id'), broken=sample['broken'][0])
    text, video = sample['text_features'], sample['video_features']
    frames = video[0][video[1]]  # real frames only; padding may be NaN
    nan = dict(nan=sample_name(sample)) if holds_nan([text[1], frames, text[0][text[2]]]) else {}
    return dict(
        video_id=sample.get('video_id'),
        captions=sample.get('captions'),
        text=text,
        video=video,
        **nan,
    )


def drop_broken(results: Sequence[Result], *, what: str) -> tuple[list[Result], int]:
    """Drop broken and repeated samples; returns the remaining results and the number of broken.

    The sampler repeats samples to fill up the ranks; a ``video_id`` counts once, and samples
    without one are all different. A warning names the broken videos; ``what`` is its subject, such
    as ``'the ranks'``.

    Raises:
        ValueError: All are broken, some are NaN, or a ``video_id`` has samples that differ in their
            captions.
    """
    results = drop_repeated(results)
    broken = sorted(result['broken'] for result in results if 'broken' in result)
    if not results:
        raise ValueError(f'{what} have no video: the test set is empty')
    if len(broken) == len(results):
        raise ValueError(
            f'{what} have no video: all {len(broken)} are broken, among them {broken[:3]}'
        )
    if broken:
        named = '; '.join(f'{name}: {reason}' for name, reason in broken)
        print_log(
            f'{what} leave out {len(broken)} of {len(results)} videos with their captions, which '
            f'are broken: {named}',
            logger='current',
            level=logging.WARNING,
        )
    counted = [result for result in results if 'broken' not in result]
    nan = [result['nan'] for result in counted if 'nan' in result]
    refuse_nan(nan, len(counted), what='the features' if 'text' in counted[0] else 'the scores')
    return counted, len(broken)


def drop_repeated(results: Sequence[Result]) -> list[Result]:
    """The first result of each video; results without a ``video_id`` are all kept."""
    first: dict[Any, Result] = {}
    for index, result in enumerate(results):
        name = result['video_id']
        known = first.setdefault(('row', index) if name is None else name, result)
        if known.get('captions') != result.get('captions'):
            raise ValueError(
                f'video_id={name!r} has two samples with different captions, '
                f'{known.get("captions")} and {result.get("captions")}; a test set has one sample '
                'a video, with all its captions (test_mode=True)'
            )
    return list(first.values())


def join_gallery(results: Sequence[Result]) -> Gallery:
    """Join the results of :func:`drop_broken` into one batch."""
    # Collecting over ranks turned the named tuples into plain tuples.
    texts = [TextFeatures(*result['text']) for result in results]
    videos = [VideoFeatures(*result['video']) for result in results]
    # 2, 1 and 3 captions of three videos: owners 0 0 1 2 2 2.
    captions = torch.tensor([len(text.sentence) for text in texts])
    return Gallery(
        text=map_tensors(lambda *parts: torch.cat(parts), *texts),
        video=map_tensors(lambda *parts: torch.stack(parts), *videos),
        owners=torch.arange(len(results)).repeat_interleave(captions),
    )
