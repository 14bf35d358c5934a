"""An action detector in use: persons' boxes at key frames of a video -> scores of their actions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from mmstan.apis.inputs import SampleReader
from mmstan.apis.load import load_weights
from mmstan.apis.sources import choose_device
from mmstan.config.checks import check_arguments
from mmstan.datasets.ava_files import make_frame, name_frame
from mmstan.datasets.label_maps import read_action_names
from mmstan.datasets.readers import open_video
from mmstan.datasets.transforms import ReadFrames
from mmstan.registry import MODELS


class Actions(NamedTuple):
    """The persons of a key frame, and their actions."""

    boxes: np.ndarray
    """x1, y1, x2, y2 as fractions of width and height, (n, 4)."""
    scores: np.ndarray
    """Score of each action, (n, K); column 0 is no action."""
    persons: np.ndarray
    """Score of each person's box, (n)."""


class ActionFinder:
    """The detector of a config with the weights of ``load_from``, ready to use.

    Args:
        cfg: The config of an ``mmstan.ActionDetector``; its test pipeline reads the videos, and the
            label map of its test set names the actions.
        device: ``'auto'`` is CUDA where it works, then MPS, then the CPU.

    Raises:
        ValueError: The model is no detector, or there are no weights, or they do not fit.
        FileNotFoundError: The label map or the checkpoint does not exist.
    """

    def __init__(self, cfg: Config, *, device: str = 'auto') -> None:
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        check_arguments(cfg)
        self.model: Any = MODELS.build(cfg.model)
        if not hasattr(self.model, 'roi_head'):
            raise ValueError(
                f'{cfg.filename}: model {type(self.model).__name__} finds no actions of persons; '
                "take a config whose model is an 'mmstan.ActionDetector'"
            )
        load_weights(self.model, cfg)
        self.model.to(choose_device(device)).eval()
        dataset = cfg.test_dataloader.dataset
        self.names = read_action_names(dataset)
        """Column of the scores -> name of the action."""
        self.reader = SampleReader(dataset.pipeline, workers=0, ahead=0)

    def find_actions(
        self, video: str, persons: Mapping[float, np.ndarray]
    ) -> Iterator[tuple[float, Actions]]:
        """Score the actions of persons.

        Args:
            video: Path of the video.
            persons: Second of a key frame -> its persons' x1, y1, x2, y2 as fractions and score,
                (n, 5).

        Yields:
            The second of each key frame, and the actions of its persons.

        Raises:
            BrokenVideoError: The video cannot be read.
        """
        with self._open(video) as source:
            for second, boxes in sorted(persons.items()):
                given = self._make_sample(video, second, boxes)
                sample = self.reader.pipeline(dict(given, filename=source))
                with torch.inference_mode():
                    (found,) = self.model.test_step(pseudo_collate([sample]))
                scores = found.pred_instances.scores.float().cpu().numpy()
                yield second, Actions(boxes[:, :4], scores, boxes[:, 4])

    def _open(self, video: str) -> AbstractContextManager[Any]:
        """Open a video once for all key frames, unless other transforms read it by its name."""
        first = self.reader.pipeline.transforms[0]
        if isinstance(first, ReadFrames):
            return open_video(video, first.backend)
        return nullcontext(video)

    def _make_sample(self, video: str, second: float, boxes: np.ndarray) -> dict[str, Any]:
        """Make a sample as ``mmstan.AVADataset`` does."""
        frame = make_frame(Path(video).stem, second)
        columns = self.model.roi_head.bbox_head.num_classes
        return dict(
            filename=video,
            video_id=frame[0],
            timestamp=frame[1],
            timestamp_start=0,
            img_key=name_frame(frame),
            modality='RGB',
            # MMAction2's transforms move and pack proposals only next to the ground truth.
            gt_bboxes=np.empty((0, 4), np.float32),
            gt_labels=np.empty((0, columns), np.float32),
            proposals=boxes[:, :4].astype(np.float32),
            scores=torch.tensor(boxes[:, 4]),
        )


def name_actions(
    scores: np.ndarray, names: Mapping[int, str], *, least: float, most: int | None = 5
) -> list[tuple[int, str, float]]:
    """Name the best actions of a person.

    Args:
        scores: Score of each action, (K); column 0 is no action.
        names: Column -> name; other columns are left out.
        least: The smallest score.
        most: Number of actions; all by default if None.

    Returns:
        Column, name and score, the best first.

    >>> name_actions(np.array([0, 0.2, 0.9, 0.5]), {1: 'sit', 2: 'read', 3: 'eat'}, least=0.3)
    [(2, 'read', 0.9), (3, 'eat', 0.5)]
    """
    order = np.argsort(-scores, kind='stable').tolist()
    found = [(i, names[i], float(scores[i])) for i in order if i in names and scores[i] >= least]
    return found[:most]
