"""Videos with a model's predictions written on them, where MMAction2's inferencer asks for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import mmcv
import numpy as np
from mmaction.structures import ActionDataSample
from mmaction.visualization import ActionVisualizer
from mmengine.dist import master_only

from mmstan.datasets.image_folders import list_images
from mmstan.datasets.readers import open_video
from mmstan.registry import VISUALIZERS
from mmstan.visualization.film import write_film

OutType = Literal['img', 'gif', 'video']
_TOP = 3  # classes that are named


@VISUALIZERS.register_module()
class VideoVisualizer(ActionVisualizer):
    """MMAction2's visualizer with class names on the frames, on PyAV.

    MMAction2 1.2 draws no label, reads videos with decord only, and writes them with
    ``moviepy.editor``, which moviepy 2 does not have. This class names the best classes, and reads
    and writes with PyAV.
    """

    @master_only
    def add_datasample(
        self,
        name: str,
        video: np.ndarray | Sequence[np.ndarray] | str,
        data_sample: ActionDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        draw_score: bool = True,
        rescale_factor: float | None = None,
        show_frames: bool = False,
        text_cfg: dict[str, Any] | None = None,
        wait_time: float = 0.1,
        out_path: str | None = None,
        out_type: OutType = 'img',
        target_resolution: tuple[int, int] | None = None,
        step: int = 0,
        fps: int = 4,
    ) -> np.ndarray:
        """Write a video with labels on its frames.

        Args:
            name: Name of the video.
            video: Its file, a folder of images, or its frames (T, H, W, 3), RGB.
            data_sample: The true labels of the video and a model's scores.
            draw_gt: Name the true classes.
            draw_pred: Name the best classes.
            draw_score: Write the scores of the best classes too.
            rescale_factor: Factor on the size of the frames.
            show_frames: Show the frames in a window.
            text_cfg: Not read.
            wait_time: Seconds that the last frame is shown in the window.
            out_path: File to write, whose suffix follows ``out_type``; the backends by default.
            out_type: PNG files in a folder, an animated GIF or an MP4.
            target_resolution: Width and height; -1 keeps the proportions of the other.
            step: Number of the folder of PNG files.
            fps: Frames a second of the written video.

        Returns:
            The frames (T, H, W, 3), RGB.

        Raises:
            ValueError: ``out_path`` is the video itself, or ``out_type`` needs it.
        """
        frames = self._load_video(video, target_resolution)
        if rescale_factor is not None:
            frames = [mmcv.imrescale(frame, rescale_factor) for frame in frames]
        classes = (self.dataset_meta or {}).get('classes')
        lines = label_lines(data_sample, classes, draw_gt, draw_pred, draw_score)
        drawn = np.stack([draw_lines(frame, lines) for frame in frames])
        if show_frames:
            for number, frame in enumerate(drawn, start=1):
                seconds = wait_time if number == len(drawn) else 1 / fps
                self.show(frame, win_name=name, wait_time=seconds)
        if out_path is None and out_type == 'img':
            self.add_video(name, drawn, step=step, fps=fps, out_type=out_type)
        elif out_path is None:
            raise ValueError(f"out_type={out_type!r} needs out_path, the file to write; or 'img'")
        else:
            source = video if isinstance(video, str) else None
            write_frames(drawn, Path(out_path), out_type, fps=fps, step=step, source=source)
        return drawn

    def _load_video(
        self,
        video: np.ndarray | Sequence[np.ndarray] | str,
        target_resolution: tuple[int, int] | None = None,
    ) -> Sequence[np.ndarray]:
        """All frames, RGB; see :meth:`add_datasample`."""
        if isinstance(video, str) and os.path.isdir(video):
            video = [mmcv.imread(path, channel_order='rgb') for path in list_images(video)]
        elif isinstance(video, str):
            with open_video(video) as reader:
                video = reader.read(range(reader.num_frames))
        return super()._load_video(video, target_resolution)


def label_lines(
    sample: ActionDataSample | None,
    classes: Sequence[str] | None,
    draw_gt: bool = True,
    draw_pred: bool = True,
    draw_score: bool = True,
) -> list[str]:
    """Write the text on the frames, a line for each class."""

    def name(label: int) -> str:
        return str(label) if classes is None or label >= len(classes) else classes[label]

    lines = []
    if draw_gt and sample is not None and 'gt_label' in sample:
        lines += [f'truth: {name(label)}' for label in sample.gt_label.flatten().tolist()]
    if draw_pred and sample is not None and 'pred_score' in sample and sample.pred_score.ndim == 1:
        scores = sample.pred_score
        for label in scores.argsort(descending=True)[:_TOP].tolist():
            score = f'{scores[label].item():.2f} ' if draw_score else ''
            lines.append(f'{score}{name(label)}')
    elif draw_pred and sample is not None and 'pred_label' in sample:
        lines.append(', '.join(map(str, sample.pred_label.flatten().tolist())))
    return lines


def draw_lines(frame: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """A copy of a frame (H, W, 3), uint8, with white lines on a darker ground."""
    frame = np.ascontiguousarray(frame).copy()
    height = max(8, frame.shape[0] // 16)  # of a line, in pixels
    ground = frame[: height * len(lines) + height // 2]
    ground[:] = ground // 3
    for number, line in enumerate(lines, start=1):
        corner, scale = (height // 2, height * number), height / 30
        thickness = max(1, height // 15)
        color = (255, 255, 255)
        cv2.putText(
            frame, line, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness, cv2.LINE_AA
        )
    return frame


def write_frames(
    frames: np.ndarray,
    path: Path,
    out_type: OutType,
    *,
    fps: int,
    step: int = 0,
    source: str | None = None,
) -> Path:
    """Write frames (T, H, W, 3), RGB, and give the path of the file, or of the folder of PNGs.

    Raises:
        ValueError: The file is ``source``, the one that the frames were read from.
    """
    if out_type == 'img':
        folder = path / f'frames_{step}'
        for number, frame in enumerate(frames):
            mmcv.imwrite(frame[..., ::-1], str(folder / f'{number}.png'))
        return folder
    path = path.with_suffix('.gif' if out_type == 'gif' else '.mp4')
    if source is not None and path.exists() and path.samefile(source):
        raise ValueError(f"'{path}' is the video itself: give vid_out_dir another folder")
    write_film(path, frames, fps, gif=out_type == 'gif')
    return path
