"""Decode a video and its prepared clip: ``python tools/benchmarks/prepared_decoding.py VIDEO``.

VIDEO is scaled to 1280 x 720 and encoded as films usually are (H.264, groups of 250 frames, with
B-frames); then ``tools/prepare_videos.py``'s encoding makes a clip of it. Prints the processor's
time for 12 frames of each, read as training reads them, and the sizes. A filmed video tells more
than a rendered one.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

import mmstan  # noqa: F401  (fixes MMAction2 before anything of it is imported)
from mmstan.benchmark.measure import describe_machine
from mmstan.cli import one_line_errors
from mmstan.datasets.readers import open_video
from mmstan.datasets.readers.pyav import PyAVReader
from mmstan.prepare.shards import ClipEncoding, encode_clip
from mmstan.wording import markdown_table

FRAMES = 12


def enlarge(source: Path, size: tuple[int, int] = (1280, 720)) -> bytes:
    """Encode a video at ``size`` (width, height) with x264's own groups and B-frames."""
    file = io.BytesIO()
    with av.open(str(source)) as reader, av.open(file, 'w', format='mp4') as writer:
        stream = reader.streams.video[0]
        options = {'preset': 'medium', 'threads': '1'}
        out = writer.add_stream('libx264', rate=stream.average_rate, options=options)
        (out.width, out.height), out.pix_fmt = size, 'yuv420p'
        for frame in reader.decode(stream):
            large = frame.reformat(*size, format='yuv420p')
            large.pts, large.time_base = frame.pts, frame.time_base
            writer.mux(out.encode(large))
        writer.mux(out.encode())
    return file.getvalue()


def read_frames(file: BinaryIO) -> None:
    """Read frames as a test samples them: the middle one of each of 12 segments."""
    file.seek(0)
    with open_video(file, 'pyav') as video:
        step = video.num_frames / FRAMES
        video.read((np.arange(FRAMES) * step + step / 2).astype(int))


def measure(data: bytes, repeats: int) -> float:
    """Milliseconds of the processor for one reading, the median."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        read_frames(io.BytesIO(data))
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('video', type=Path)
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    with one_line_errors():
        source = enlarge(args.video)
    variants = {'1280 x 720, as films are': source}
    for gop in (8, 1):
        start = time.process_time()
        with PyAVReader(io.BytesIO(source)) as reader:
            variants[f'prepared, --gop {gop}'] = encode_clip(reader, ClipEncoding(gop=gop)).data
        print(f'prepared with --gop {gop} in {time.process_time() - start:.1f} s')
    times = {name: measure(data, args.repeats) for name, data in variants.items()}
    first = next(iter(times.values()))
    rows = [
        [name, f'{ms:.0f}', f'{first / ms:.1f}', f'{len(variants[name]) / 1e6:.2f}']
        for name, ms in times.items()
    ]
    print(f'{describe_machine()}, {args.video.name}')
    print(markdown_table(['', 'CPU ms for 12 frames', 'times faster', 'MB'], rows, align='lrrr'))


if __name__ == '__main__':
    main()
