"""Reading with torchcodec or decord, both of which are optional."""

from __future__ import annotations

import numpy as np

from mmstan.datasets.readers.base import VideoReader


class TorchCodecReader(VideoReader):
    """torchcodec on one CPU thread.

    Measured on 0.17: pixel-equal to PyAV for MP4, Matroska and WebM, except that it takes mirrored
    videos for rotated ones; AVI with B-frames and MPEG-TS lose their last frames.
    """

    def _open(self) -> None:
        from torchcodec.decoders import VideoDecoder

        self._video = VideoDecoder(self.filename, dimension_order='NHWC', num_ffmpeg_threads=1)
        self.num_frames = len(self._video)
        self.avg_fps = float(self._video.metadata.average_fps or 1.0)

    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        return [frame.copy() for frame in self._video.get_frames_at(wanted).data.numpy()]


class DecordReader(VideoReader):
    """decord on one CPU thread, for comparisons with stock pipelines.

    Measured on 0.6: wrong frames near key frames of open groups of pictures and in AVI with
    B-frames, no frames at all at some widths (48, 72), wrong sizes are such cases too.
    """

    def _open(self) -> None:
        import decord

        self._video = decord.VideoReader(self.filename, num_threads=1)
        self.num_frames = len(self._video)
        self.avg_fps = float(self._video.get_avg_fps())

    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        return [frame.copy() for frame in self._video.get_batch(wanted).asnumpy()]
