"""Videos with class labels, in MMAction2's annotation format."""

from typing import Any

from mmaction.datasets import VideoDataset as _VideoDataset
from mmengine.fileio import LocalBackend, exists, get_file_backend, isdir

from mmstan.datasets.reliable import ReliableSamples
from mmstan.registry import DATASETS


@DATASETS.register_module()
class VideoDataset(ReliableSamples, _VideoDataset):
    """MMAction2's ``VideoDataset`` with :class:`ReliableSamples`; takes the arguments of both.

    Raises:
        FileNotFoundError: the annotation file or the folder of the videos is missing.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read lines of ``path label``; look first whether the data has been prepared."""
        if not exists(self.ann_file):
            raise FileNotFoundError(
                f'ann_file={self.ann_file!r} does not exist; prepare the data as the README says '
                f'under data preparation, or set ann_file of the data set to where it is'
            )
        folder = self.data_prefix['video']
        if folder and isinstance(get_file_backend(folder), LocalBackend) and not isdir(folder):
            raise FileNotFoundError(
                f'data_prefix={folder!r} is not a folder; put the videos there as the README says '
                f'under data preparation, or set data_prefix of the data set to where they are'
            )
        return super().load_data_list()
