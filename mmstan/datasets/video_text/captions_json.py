"""Any videos with captions, in the format of MMAction2's and STAN's retrieval."""

from collections.abc import Mapping
from typing import Any

from mmstan.datasets.annotation_files import check_kind, open_annotations
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.registry import DATASETS


@DATASETS.register_module()
class CaptionsJson(VideoTextDataset):
    """``ann_file`` is a json of ``{file name: [captions]}``, or of ``{file name: caption}``.

    Use this format for videos of your own. MMAction2's ``VideoTextDataset``, STAN's released lists
    and Moving Shapes have it too. Captions of a repeated name are joined. File names are relative
    to the folder of the videos and may lead into folders below it. A video that was re-encoded is
    found by its name without the extension. Arguments as in :class:`VideoTextDataset`.

    Example::

        CaptionsJson(
            'train.json',
            data_root='data/moving_shapes/small/retrieval',
            pipeline=train_pipeline,
        )
    """

    names_have_extension = True

    def read_captions(self) -> Mapping[str, Any]:
        """Read the file as it is."""
        file = open_annotations('ann_file', self.ann_file)
        return check_kind(file, file.read_json(collect=True), dict, '{file name: [captions]}')
