"""Reading with torchcodec or decord, both of which are optional."""

from __future__ import annotations

import numpy as np

from mmstan.datasets.readers.base import VideoReader
from mmstan.datasets.readers.pyav import PyAVReader


class TorchCodecReader(VideoReader):
    """torchcodec on one CPU thread.

    Measured on 0.17: pixel-equal to PyAV for MP4 and MOV, whole, cut (with an edit list) or joined.
    It takes mirrored videos for rotated ones, so it refuses whatever has a display matrix. Frames
    are lost or mixed up in AVI, MPEG-TS, MPEG-PS, ASF and in cut or joined Matroska.
    """

    def _open(self) -> None:
        from torchcodec.decoders import VideoDecoder

        self._video = VideoDecoder(self.filename, dimension_order='NHWC', num_ffmpeg_threads=1)
        if self._video.metadata.rotation is not None:
            raise self.broken('is stored rotated or mirrored, which torchcodec does not tell apart')
        self.num_frames = len(self._video)
        self.avg_fps = float(self._video.metadata.average_fps or 1.0)

    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        return [frame.copy() for frame in self._video.get_frames_at(wanted).data.numpy()]


class DecordReader(VideoReader):
    """decord on one CPU thread, for comparisons with stock pipelines.

    Measured on 0.6: wrong frames where groups of pictures are open (MPEG-4 and MPEG-2 with
    B-frames, HEVC) or cut by an edit list, mirrored frames turned; it refuses all of these, as PyAV
    finds them. No frames at all at some widths (48, 72), wrong sizes are such cases too.
    """

    def _open(self) -> None:
        import decord

        with PyAVReader(self.filename) as proof:
            if not (proof.index.is_steady() and proof.index.groups_are_closed()):
                raise self.broken('has open or cut groups of pictures, which decord mixes up')
            if proof.is_turned():
                raise self.broken('is stored rotated or mirrored, which decord does not tell apart')
            self.num_frames = proof.num_frames
        self._video = decord.VideoReader(self.filename, num_threads=1)
        if len(self._video) != self.num_frames:
            raise self.broken(f'holds {self.num_frames} frames, decord counts {len(self._video)}')
        self.avg_fps = float(self._video.get_avg_fps())

    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        return [frame.copy() for frame in self._video.get_batch(wanted).asnumpy()]
