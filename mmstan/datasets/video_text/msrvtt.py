"""MSR-VTT."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mmstan.datasets.annotation_files import (
    check_id,
    check_kind,
    group_captions,
    open_annotations,
    read_video_id,
)
from mmstan.datasets.plain_pickles import read_pickle
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.registry import DATASETS
from mmstan.wording import show


@DATASETS.register_module()
class MSRVTT(VideoTextDataset):
    """MSR-VTT in the splits 9k/1k-A, 7k and full, from CLIP4Clip's or Frozen-in-Time's files.

    ========== ============================================ ========================= ============
    split      ``video_list``                               ``ann_file``              videos
    ========== ============================================ ========================= ============
    9k / 1k-A  MSRVTT_train.9k.csv                          MSRVTT_data.json          9,000
    ..         MSRVTT_JSFUSION_test.csv                     none                      1,000
    7k         MSRVTT_train.7k.csv                          MSRVTT_data.json          7,010
    full       MSRVTT_{train,val,test}.full.csv             MSRVTT_data.json          6,513 / 497 /
    ..                                                                                2,990
    Frozen's   {train,val}_list_jsfusion.txt                MSR_VTT.json              as 1k-A
    ========== ============================================ ========================= ============

    A ``video_list`` with a column ``sentence`` (the test of 1k-A) has one caption a video;
    ``ann_file`` is then not read. The test of Frozen-in-Time needs ``caption_index``. Both json
    files may have any name. Videos are ``<id>.mp4`` or ``<id>.webm``.

    Args:
        caption_index: ``jsfusion_val_caption_idx.pkl``, the number of each video's test caption.
        ann_file, video_list, kwargs: See :class:`VideoTextDataset`.

    Example::

        MSRVTT(
            'MSRVTT_data.json',
            video_list='MSRVTT_train.9k.csv',
            data_root='data/msrvtt',
            data_prefix=dict(video='videos'),
            pipeline=train_pipeline,
        )
    """

    known_sizes = {
        'MSRVTT_train.9k.csv': 9000,
        'MSRVTT_JSFUSION_test.csv': 1000,
        'MSRVTT_train.7k.csv': 7010,
        'MSRVTT_train.full.csv': 6513,
        'MSRVTT_val.full.csv': 497,
        'MSRVTT_test.full.csv': 2990,
    }

    def __init__(
        self, ann_file: str = '', *, video_list: str = '', caption_index: str = '', **kwargs: Any
    ) -> None:
        self.caption_index = caption_index
        super().__init__(ann_file, video_list=video_list, **kwargs)

    def _join_prefix(self) -> None:
        super()._join_prefix()
        self.caption_index = self._join_root(self.caption_index)

    def read_captions(self) -> Mapping[str, Sequence[str]]:
        """Read the captions of the csv if it has sentences, else of the json."""
        if self.video_list.endswith('.csv'):
            file = open_annotations('video_list', self.video_list)
            rows = file.read_table('video_id')
            if rows and 'sentence' in rows[0].fields:
                captions = defaultdict(list)
                for row in rows:
                    captions[read_video_id(file, row)].append(row.fields['sentence'])
                return captions
        if self.video_list and not self.ann_file:
            raise ValueError(
                f"ann_file='' must name a file, since video_list={self.video_list!r} has no column "
                'sentence: give MSRVTT_data.json or MSR_VTT.json'
            )
        of_json = _read_json_captions(self.ann_file)
        return _choose_captions(of_json, self.caption_index) if self.caption_index else of_json


def _read_json_captions(path: str) -> Mapping[str, Sequence[str]]:
    file = open_annotations('ann_file', path)
    data = check_kind(file, file.read_json(), dict, '{sentences: [...]} or {annotations: [...]}')
    for key, video in (('sentences', 'video_id'), ('annotations', 'image_id')):
        if key in data:
            return group_captions(file, data[key], video, 'caption')
    raise file.error(
        'it must have sentences (MSRVTT_data.json) or annotations (MSR_VTT.json), not '
        f'{list(data)[:5]}: give one of these, or use mmstan.CaptionsJson'
    )


def _choose_captions(
    captions: Mapping[str, Sequence[str]], path: str
) -> Mapping[str, Sequence[str]]:
    """Keep one caption of each video: the one with the number in a pickle."""
    file = open_annotations('caption_index', path)
    chosen = {}
    for name, number in check_kind(file, read_pickle(file), dict, '{video: number}').items():
        texts = captions.get(video := check_id(file, name))
        if texts is None:
            continue  # a video without captions, which is counted as one
        if not isinstance(number, int) or not 0 <= number < len(texts):
            raise file.error(
                f'the caption of {video} must be one of 0 to {len(texts) - 1}, not {show(number)}'
            )
        chosen[video] = [texts[number]]
    if not chosen:
        raise file.error(f'it has none of the videos of ann_file, {show(list(captions))}')
    return chosen
