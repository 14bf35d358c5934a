"""Any videos with captions, in the format of MMAction2's and STAN's retrieval."""

from collections.abc import Mapping, Sequence

from mmstan.datasets.annotation_files import read_json
from mmstan.datasets.video_text.base import VideoTextDataset
from mmstan.registry import DATASETS


@DATASETS.register_module()
class CaptionsJson(VideoTextDataset):
    """``ann_file`` is a json of ``{file name: [captions]}``, or of ``{file name: caption}``.

    The format for videos of your own; also that of MMAction2's ``VideoTextDataset``, of STAN's
    released lists and of Moving Shapes. File names are relative to the folder of the videos and may
    lead into folders below it; one that has been re-encoded is found by what precedes the
    extension. Arguments are those of :class:`VideoTextDataset`.

    Example:
        CaptionsJson(
            'train.json',
            data_root='data/moving_shapes/small/retrieval',
            pipeline=train_pipeline,
        )
    """

    names_have_extension = True

    def read_captions(self) -> Mapping[str, Sequence[str]]:
        """The file as it is."""
        data = read_json('ann_file', self.ann_file)
        if not isinstance(data, dict):
            raise ValueError(
                f'ann_file={self.ann_file!r} must hold {{file name: [captions]}}, not a '
                f'{type(data).__name__}: bring it into this form'
            )
        return {
            video: [texts] if isinstance(texts, str) else texts for video, texts in data.items()
        }
