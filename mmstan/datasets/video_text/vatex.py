"""VATEX."""

from collections.abc import Mapping
from typing import Any

from mmstan.datasets.annotation_files import check_kind, get_list, open_annotations
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.registry import DATASETS


@DATASETS.register_module()
class VATEX(VideoTextDataset):
    """VATEX in English, ten captions a video, from CLIP2Video's or TS2-Net's files.

    ===== ======================= =================== ======
    split ``video_list``          ``ann_file``        videos
    ===== ======================= =================== ======
    train train_list.txt          vatex_data.json     25,991
    val   val_list.txt            vatex_data.json      1,500
    test  test_list.txt           vatex_data.json      1,500
    ..    test1k5_sec_list.txt    vatex_data.json
    ===== ======================= =================== ======

    ``train_list.txt``, ``val_list.txt`` and ``test_list.txt`` are the split of HGR;
    ``test1k5_sec_list.txt`` is CLIP2Video's. TS2-Net's ``ref_captions.json`` (``{id: [...]}``) may
    replace ``vatex_data.json`` (``{id: {enCap: [...]}}``). Videos are ``<id>.<any>``, e.g.
    ``G9zN5TTuGO4_000179_000189.mp4``. Arguments as in :class:`VideoTextDataset`.

    Example::

        VATEX(
            'vatex_data.json',
            video_list='train_list.txt',
            data_root='data/vatex',
            data_prefix=dict(video='videos'),
            pairs='random',
            pipeline=train_pipeline,
        )
    """

    known_sizes = {'train_list.txt': 25991, 'val_list.txt': 1500, 'test_list.txt': 1500}

    def read_captions(self) -> Mapping[str, Any]:
        """Read the English captions of either file."""
        file = open_annotations('ann_file', self.ann_file)
        data = check_kind(file, file.read_json(), dict, '{id: {enCap: [captions]}}')
        return {
            video: get_list(file, entry, 'enCap', f'the entry of {video}')
            if isinstance(entry, dict)
            else entry
            for video, entry in data.items()
        }
