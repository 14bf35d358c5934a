"""ActivityNet Captions."""

from collections.abc import Mapping, Sequence

from mmstan.datasets.annotation_files import (
    check_captions,
    check_kind,
    get_list,
    open_annotations,
)
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.registry import DATASETS


@DATASETS.register_module()
class ActivityNetCaptions(VideoTextDataset):
    """ActivityNet Captions for paragraph retrieval: a video's sentences, in order, are one caption.

    ===== ================ ============ ======
    split ``video_list``   ``ann_file`` videos
    ===== ================ ============ ======
    train train_ids.json   train.json   10,009
    test  val_ids.json     val_1.json    4,917
    ===== ================ ============ ======

    Without ``video_list`` the split is all of ``ann_file``. Ids are ``v_...``; videos are named
    with or without ``v_``, with any extension, anywhere below the folder. Arguments as in
    :class:`VideoTextDataset`.

    Example::

        ActivityNetCaptions(
            'val_1.json',
            video_list='val_ids.json',
            data_root='data/activitynet',
            data_prefix=dict(video='videos'),
            test_mode=True,
            pipeline=test_pipeline,
        )
    """

    recursive = True
    known_sizes = {
        'train_ids.json': 10009,
        'train.json': 10009,
        'val_ids.json': 4917,
        'val_1.json': 4917,
    }

    def read_captions(self) -> Mapping[str, Sequence[str]]:
        """Join the sentences of a video by a space; their times are not read."""
        file = open_annotations('ann_file', self.ann_file)
        data = check_kind(file, file.read_json(), dict, '{id: {sentences: [texts]}}')
        captions = {}
        for video, entry in data.items():
            sentences = get_list(file, entry, 'sentences', f'the entry of {video}')
            captions[video] = [' '.join(filter(None, check_captions(file, video, sentences)))]
        return captions

    def list_file_names(self, video: str) -> Sequence[str]:
        """Name the file with and without ``v_``."""
        return video, video.removeprefix('v_')
