"""Videos with class labels, in MMAction2's annotation format."""

from __future__ import annotations

from typing import Any

from mmaction.datasets import VideoDataset as _VideoDataset
from mmengine.fileio import LocalBackend, get_file_backend, isdir, join_path

from mmstan.datasets.annotation_files import check_inside, open_annotations
from mmstan.datasets.reliable import ReliableSamples
from mmstan.datasets.video_files import Spellings, make_folder_error
from mmstan.datasets.video_lists import LabelledVideo, read_video_list
from mmstan.registry import DATASETS


@DATASETS.register_module()
class VideoDataset(ReliableSamples, _VideoDataset):
    """MMAction2's ``VideoDataset`` with :class:`ReliableSamples`; takes the arguments of both.

    A line of ``ann_file`` is ``path label``. The label is the last field; all before it is the
    path, which may have blanks. Paths are relative to ``data_prefix['video']`` unless that is
    empty. Every line has one label, or with ``multi_class`` any number of labels.

    Raises:
        FileNotFoundError: The annotation file or the folder of the videos is missing.
        ValueError: A line has another form, leads out of the folder, or has a label that is not
            below a given ``num_classes``; or ``multi_class`` comes without ``num_classes``.
    """

    folder_key = 'video'

    def load_data_list(self) -> list[dict[str, Any]]:
        """Make one sample of each line; check first that the data is there."""
        if self.multi_class and self.num_classes is None:
            raise ValueError(
                f'multi_class=True of ann_file={self.ann_file!r} needs num_classes, the length of '
                "a video's vector of labels: set it to the number of classes"
            )
        videos = read_video_list(
            'ann_file', self.ann_file, delimiter=self.delimiter, multi_class=self.multi_class
        )
        folder = self.data_prefix['video']
        local = isinstance(get_file_backend(folder), LocalBackend)
        if folder and local and not isdir(folder):
            raise make_folder_error(folder)
        file = open_annotations('ann_file', self.ann_file)
        spellings, samples = Spellings(folder), []
        for video in videos:
            name = check_inside(file, video.path, folder, video.line)
            path = spellings.find(name) if local else join_path(folder, name)
            samples.append(dict(filename=path, label=self._check_label(video)))
        return samples

    def _check_label(self, video: LabelledVideo) -> int | list[int]:
        """Return the label or labels if they are below ``num_classes``."""
        wrong = [label for label in video.labels if label >= (self.num_classes or label + 1)]
        if wrong:
            raise open_annotations('ann_file', self.ann_file).error(
                f'the label {wrong[0]} is none of the {self.num_classes} classes (num_classes), '
                f'which are 0 to {self.num_classes - 1}',
                line=video.line,
            )
        return list(video.labels) if self.multi_class else video.labels[0]
