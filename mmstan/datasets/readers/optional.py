"""Readers with torchcodec and decord, both optional packages.

Both refuse files without steady time stamps. PyAV's index of the packets decides that, in about 3 %
of the time of reading eight frames.
"""

from __future__ import annotations

import numpy as np

from mmstan.datasets.readers.base import VideoReader
from mmstan.datasets.readers.pyav import PyAVReader


class TorchCodecReader(VideoReader):
    """torchcodec on one CPU thread.

    Measured on 0.17: pixel-equal to PyAV for MP4 and MOV with steady time stamps. torchcodec takes
    mirrored videos for rotated ones, so this reader refuses every file with a display matrix.
    Frames are lost or mixed up in AVI, MPEG-TS, MPEG-PS, ASF and damaged Matroska.
    """

    def _open(self) -> None:
        from torchcodec.decoders import VideoDecoder

        with Proof(self.filename) as proof:
            proof.check(self)
        self._video = VideoDecoder(self.filename, dimension_order='NHWC', num_ffmpeg_threads=1)
        if self._video.metadata.rotation is not None:
            raise self.broken('is stored rotated or mirrored, which torchcodec does not tell apart')
        self.num_frames = len(self._video)
        proof.check_count(self)
        self.avg_fps = float(self._video.metadata.average_fps or 1.0)
        self.times = proof.times

    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        return [frame.copy() for frame in self._video.get_frames_at(wanted).data.numpy()]


class DecordReader(VideoReader):
    """decord on one CPU thread, for comparisons with stock pipelines.

    Measured on 0.6: frames are wrong where groups of pictures are open (MPEG-4 and MPEG-2 with
    B-frames, HEVC) or cut by an edit list, and mirrored frames are turned. PyAV finds these cases,
    and this reader refuses them. decord also gives no frames, or wrong sizes, at some widths (48,
    72).
    """

    def _open(self) -> None:
        import decord

        with Proof(self.filename) as proof:
            proof.check(self)
            if not proof.index.groups_are_closed():
                raise self.broken('has open or cut groups of pictures, which decord mixes up')
            if proof.is_turned():
                raise self.broken('is stored rotated or mirrored, which decord does not tell apart')
        # Without the limit decord silently repeats a frame where it cannot decode one.
        self._video = decord.VideoReader(self.filename, num_threads=1, fault_tol=1e-6)
        self.num_frames = len(self._video)
        proof.check_count(self)
        self.avg_fps = float(self._video.get_avg_fps())
        self.times = proof.times

    def _decode(self, wanted: list[int]) -> list[np.ndarray]:
        return [frame.copy() for frame in self._video.get_batch(wanted).asnumpy()]


class Proof(PyAVReader):
    """PyAV's index of a file's packets, which decides whether another reader may read the file."""

    def check(self, reader: VideoReader) -> None:
        """Raise BrokenVideoError unless time stamps say which frames are shown."""
        if not self.index.is_steady():
            raise reader.broken(f'has time stamps that {type(reader).__name__} mixes up')

    def check_count(self, reader: VideoReader) -> None:
        """Raise BrokenVideoError unless the reader counts the same frames."""
        if reader.num_frames != self.num_frames:
            name, count = type(reader).__name__, reader.num_frames
            raise reader.broken(f'holds {self.num_frames} frames, {name} counts {count}')

    def _count_pictures(self) -> None:
        self.num_frames = max(1, len(self.index.pts))  # nothing is decoded
