"""DiDeMo."""

from collections.abc import Mapping, Sequence

from mmstan.datasets.annotation_files import group_captions, open_annotations
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.registry import DATASETS


@DATASETS.register_module()
class DiDeMo(VideoTextDataset):
    """DiDeMo for paragraph retrieval: a video's descriptions, in the file's order, are one caption.

    ===== ================ ================ ======
    split ``video_list``   ``ann_file``     videos
    ===== ================ ================ ======
    train train_list.txt   train_data.json   8,392
    val   val_list.txt     val_data.json     1,065
    test  test_list.txt    test_data.json    1,004
    ===== ================ ================ ======

    Papers print other sizes too (8,395; 979 or 1,003 in the test), since some videos are gone. The
    size moves R@1. Without ``video_list`` the split is all of ``ann_file``. Videos have odd
    extensions (.3gp, .divx, a bare '.'). A video that was re-encoded is found by its name without
    the extension, anywhere below the folder. The descriptions cover the first 30 seconds;
    ``mmstan.SampleSeconds(max_seconds=32)`` reads as many seconds as CLIP4Clip. Arguments as in
    :class:`VideoTextDataset`.

    Example::

        DiDeMo(
            'test_data.json',
            video_list='test_list.txt',
            data_root='data/didemo',
            data_prefix=dict(video='videos'),
            test_mode=True,
            missing='report',
            pipeline=test_pipeline,
        )
    """

    recursive = True
    names_have_extension = True
    known_sizes = {'train_list.txt': 8392, 'val_list.txt': 1065, 'test_list.txt': 1004}

    def read_captions(self) -> Mapping[str, Sequence[str]]:
        """Join the descriptions of a video by a space; the times of their moments are not read."""
        file = open_annotations('ann_file', self.ann_file)
        descriptions = group_captions(file, file.read_json(), 'video', 'description')
        return {
            video: [' '.join(filter(None, map(str.strip, texts)))]
            for video, texts in descriptions.items()
        }
