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

    Papers print other sizes too (8,395; 979 or 1,003 in the test), since some videos are gone: the
    size moves R@1. Without ``video_list`` the split is what ``ann_file`` describes. Videos have odd
    extensions (.3gp, .divx, a bare '.'); re-encoded to another they are found by what precedes it,
    anywhere below the folder. What is described lies in the first 30 seconds, of which
    ``mmstan.SampleSeconds(max_seconds=32)`` reads as many as CLIP4Clip. Arguments are those of
    :class:`VideoTextDataset`.

    Example:
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
        """Descriptions joined by a space; the times of their moments are not read."""
        file = open_annotations('ann_file', self.ann_file)
        descriptions = group_captions(file, file.read_json(), 'video', 'description')
        return {
            video: [' '.join(filter(None, map(str.strip, texts)))]
            for video, texts in descriptions.items()
        }
