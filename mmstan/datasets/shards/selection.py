"""Which samples of an index can be used, and messages about the others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from mmengine.logging import print_log

from mmstan.datasets.shards.index import ShardIndex
from mmstan.datasets.shards.names import Shard, Urls
from mmstan.datasets.shards.scan import ABSENT, SUFFIXES, list_names
from mmstan.wording import count_things, name_a_few


class Wish(NamedTuple):
    """The members that a config asks for: video of these endings, and the caption's."""

    urls: Urls
    video: tuple[str, ...]
    caption: str
    member: str


def select_rows(
    index: ShardIndex, shards: Mapping[int, Shard], wish: Wish
) -> tuple[np.ndarray, int]:
    """List the rows of the index with video and caption, ascending; the log says what is left out.

    Args:
        index: The index.
        shards: The shards to use, by their place in the index.
        wish: The members.

    Returns:
        The rows, int32 or int64, and the number of samples that are left out.

    Raises:
        FileNotFoundError: No sample is there, or none with a video.
        ValueError: None has a caption.
    """
    starts, fields, places = index.starts, index.fields, np.array(sorted(shards))
    kind = np.int32 if starts[-1] < 2**31 else np.int64
    rows = np.concatenate([np.arange(starts[s], starts[s + 1], dtype=kind) for s in places])
    if not len(rows):
        raise FileNotFoundError(_describe_empty(list(shards.values()), wish))
    _report_shards(index, shards, places)
    allowed = np.isin(np.arange(len(SUFFIXES)), [SUFFIXES.index(each) for each in wish.video])
    # Neighbouring shards are a slice, which reads ten million samples in a tenth of the time.
    whole = rows[-1] - rows[0] + 1 == len(rows)
    part = slice(int(rows[0]), int(rows[-1]) + 1) if whole else rows
    shown = (fields['video_at'][part] != ABSENT) & allowed[fields['suffix'][part]]
    captioned = fields[f'{wish.member}_at'][part] != ABSENT
    if not captioned.any():
        raise ValueError(_describe_captions(_list_kinds(index, rows), wish))
    usable = shown & captioned
    if not usable.any():
        raise FileNotFoundError(
            f'none of the {len(rows)} samples of urls={wish.urls!r} has a video and a caption: '
            f'wanted {wish.video} with {wish.caption!r}, found {_list_kinds(index, rows)}; set '
            'video='
        )
    num_missing = int((~usable).sum())
    if num_missing:
        _warn(
            f'{num_missing} of {len(rows)} samples of urls={wish.urls!r} are left out: '
            f'{int((~shown).sum())} without a video, {int((~captioned).sum())} without a caption '
            f'({wish.caption!r})'
        )
    return (rows[usable] if num_missing else rows), num_missing


def _report_shards(index: ShardIndex, shards: Mapping[int, Shard], places: np.ndarray) -> None:
    """Name the shards that were cut off, and the ones without a sample."""

    def describe(place: int) -> str:
        problem = index.problems[place]
        return f'{shards[int(place)].url}{f" ({problem})" if problem else ""}'

    problems, counts = index.problems[places], np.diff(index.starts)[places]
    cut, empty = places[(problems != '') & (counts > 0)], places[counts == 0]
    if len(cut):
        _warn(
            f'{count_things(len(cut), "shard")} cannot be read to the end, the samples before the '
            f'damage are used: {name_a_few(map(describe, cut))}'
        )
    if len(empty):
        _warn(
            f'{count_things(len(empty), "shard")} without a sample left out: '
            f'{name_a_few(map(describe, empty))}'
        )


def _describe_empty(shards: list[Shard], wish: Wish) -> str:
    members = [name for shard in shards[:3] for name in list_names(shard, 3)][:3]
    return (
        f'urls={wish.urls!r}: no sample in {count_things(len(shards), "shard")} '
        f'({name_a_few((shard.url for shard in shards), most=3)}); their first members are '
        f'{members}; wanted are KEY.{wish.video[0]} with KEY.txt or KEY.json, sample by sample'
    )


def _describe_captions(kinds: list[str], wish: Wish) -> str:
    """Say which members there are in the place of the caption's, and what to set."""
    remedy = "caption='json:caption', or another field of their json"
    if wish.member == 'json':
        remedy = "caption='txt'"
    return (
        f'caption={wish.caption!r}: no sample of urls={wish.urls!r} has KEY.{wish.member}; their '
        f'members are {", ".join(f"KEY.{kind}" for kind in kinds)}: '
        + (f'set {remedy}' if {'txt', 'json'} & {*kinds} else 'add the captions')
    )


def _list_kinds(index: ShardIndex, rows: np.ndarray) -> list[str]:
    videos = rows[index.fields['video_at'][rows] != ABSENT]
    kinds = [SUFFIXES[number] for number in np.unique(index.fields['suffix'][videos])]
    texts = (m for m in ('txt', 'json') if (index.fields[f'{m}_at'][rows] != ABSENT).any())
    return [*kinds, *texts]


def _warn(text: str) -> None:
    print_log(text, logger='current', level=logging.WARNING)
