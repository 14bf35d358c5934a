"""MSVD."""

from collections.abc import Mapping, Sequence

from mmstan.datasets.annotation_files import check_captions, check_kind, open_annotations
from mmstan.datasets.plain_pickles import read_pickle
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.registry import DATASETS
from mmstan.wording import show


@DATASETS.register_module()
class MSVD(VideoTextDataset):
    """MSVD, about 40 captions a video.

    ===== ================ ================ ======
    split ``video_list``   ``ann_file``     videos
    ===== ================ ================ ======
    train train_list.txt   raw-captions.pkl  1,200
    val   val_list.txt     raw-captions.pkl    100
    test  test_list.txt    raw-captions.pkl    670
    ===== ================ ================ ======

    ``ann_file`` is a pickle of ``{id: [[word, ...], ...]}``. Videos are ``<id>.avi`` anywhere below
    the folder. Arguments as in :class:`VideoTextDataset`.

    Example::

        MSVD(
            'raw-captions.pkl',
            video_list='test_list.txt',
            data_root='data/msvd',
            data_prefix=dict(video='videos'),
            test_mode=True,
            pipeline=test_pipeline,
        )
    """

    recursive = True
    known_sizes = {'train_list.txt': 1200, 'val_list.txt': 100, 'test_list.txt': 670}

    def read_captions(self) -> Mapping[str, Sequence[str]]:
        """Join the words of each caption by spaces."""
        file = open_annotations('ann_file', self.ann_file)
        data = check_kind(file, read_pickle(file), dict, '{id: [[word, ...], ...]}')
        captions = {}
        for video, texts in data.items():
            check_kind(file, texts, list, f'lists of words for {show(video)}')
            parts = (check_captions(file, str(video), text) for text in texts)
            captions[str(video)] = [' '.join(filter(None, words)) for words in parts]
        return captions
