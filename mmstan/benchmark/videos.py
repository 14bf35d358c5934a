"""Replace the videos of a data set, and describe the videos that it reads."""

from __future__ import annotations

import io
import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from mmaction.datasets import VideoDataset
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS

from mmstan.datasets import EpicKitchens, VideoTextDataset
from mmstan.datasets.readers import READERS, BrokenVideoError, open_video
from mmstan.datasets.reliable import list_wrapped
from mmstan.datasets.shards import Shards
from mmstan.datasets.transforms import ReadFrames
from mmstan.datasets.video_files import VIDEO_EXTENSIONS, split_extension
from mmstan.datasets.visible_files import is_hidden

SPREAD = ('width', 'height', 'fps', 'seconds')
_LISTED = 100_000  # samples of which every one is asked for its file
_PROBED = 50  # number of videos to open for their sizes; all of Kinetics would take an hour


def replace_videos(dataset: ConfigDict, videos: Path, folder: Path) -> ConfigDict:
    """Config of a data set of the same kind and pipeline that reads all ``videos``.

    Its annotation file and links to the videos are written into ``folder``.
    """
    files = sorted(path for path in videos.rglob('*') if _is_video(path))
    if not files:
        raise ValueError(f"videos='{videos}' must be a folder with video files: give another one")
    names = [f'{number:06}{path.suffix}' for number, path in enumerate(files)]
    # Links with plain names: a video's own name may have blanks, which split an annotation.
    for name, path in zip(names, files):
        (folder / name).symlink_to(path.resolve())
    own = dataset
    while 'dataset' in own or 'datasets' in own:  # a wrapper
        own = own.get('dataset') or own.datasets[0]
    with DATASETS.switch_scope_and_registry(None) as registry:
        kind = registry.get(own.type) if isinstance(own.type, str) else own.type
    name, text = _annotations(kind, names)
    ann_file = folder / 'annotations'
    ann_file.write_text(text)
    prefix = dict(video=str(folder))
    return ConfigDict(type=name, ann_file=str(ann_file), data_prefix=prefix, pipeline=own.pipeline)


def _is_video(path: Path) -> bool:
    extension = split_extension(path.name)[1].lower()
    return extension in VIDEO_EXTENSIONS and not is_hidden(path.name) and path.is_file()


def _annotations(kind: type, names: Sequence[str]) -> tuple[str, str]:
    """Type of a data set of mmstan with samples like ``kind``'s, and its annotation text."""
    if issubclass(kind, (VideoTextDataset, Shards)):
        return 'mmstan.CaptionsJson', json.dumps(dict.fromkeys(names, 'a video'))
    if issubclass(kind, EpicKitchens):
        header = 'video_id,start_timestamp,stop_timestamp,verb_class,noun_class'
        rows = [f'{Path(name).stem},00:00:00.00,99:59:59.00,0,0' for name in names]  # to the end
        return 'mmstan.EpicKitchens', '\n'.join([header, *rows])
    if issubclass(kind, VideoDataset):
        return 'mmstan.VideoDataset', '\n'.join(f'{name} 0' for name in names)
    raise ValueError(
        f"type='{kind.__name__}' of the training data must be VideoDataset, EpicKitchens or one "
        "of mmstan's with captions for --videos: measure it on its own data"
    )


def list_parts(dataset: Any) -> list[Any]:
    """The data sets with a pipeline: ``dataset`` itself, or the data sets that it wraps."""
    if hasattr(dataset, 'pipeline'):
        return [dataset]
    return [part for inner in list_wrapped(dataset) for part in list_parts(inner)]


def describe_videos(dataset: Any) -> tuple[str, dict[str, Any]]:
    """Names of the readers of a data set, and the ``videos`` entry of :func:`measure_pipeline`."""
    number, probed = _choose_videos(list_parts(dataset))
    transforms = [x for part in list_parts(dataset) for x in part.pipeline.transforms]
    backend = next((x.backend for x in transforms if isinstance(x, ReadFrames)), None)
    problem = ''
    sizes: list[tuple[float, ...]] = []
    readers: set[str] = set()
    for file in probed:
        try:
            with open_video(file, backend or 'auto') as video:
                height, width = video.read([0])[0].shape[:2]
                sizes.append((width, height, video.avg_fps, video.num_frames / video.avg_fps))
                readers |= {name for name, kind in READERS.items() if type(video) is kind}
        except BrokenVideoError as error:
            problem = f'{os.path.realpath(error.filename)}: {error.reason}'
    if not sizes:
        raise ValueError(f'none of {len(probed)} videos can be read, among them {problem}')
    spread = [(min(column), statistics.median(column), max(column)) for column in zip(*sizes)]
    numbers = dict(number=number, probed=len(probed), unreadable=len(probed) - len(sizes))
    videos = {**numbers, **dict(zip(SPREAD, spread))}
    # Without ReadFrames, the first transform opens the videos, DecordInit for one.
    return ', '.join(sorted(readers)) if backend else type(transforms[0]).__name__, videos


def _choose_videos(parts: Sequence[Any]) -> tuple[int, list[str | BinaryIO]]:
    """The number of videos, and some that are spread over all of them: paths, or bytes in memory.

    In shards, and where there are very many, each sample counts as a video: nothing is listed.
    """
    owners = [(part, len(part)) for part in parts]
    total = sum(count for _, count in owners)
    if total > _LISTED or any(isinstance(part, Shards) for part in parts):
        every = total // _PROBED + 1
        infos = [part.get_data_info(i) for part, count in owners for i in range(0, count, every)]
        return total, [_open_source(info) for info in infos]
    files = list(
        dict.fromkeys(
            part.get_data_info(i)['filename'] for part, count in owners for i in range(count)
        )
    )
    # Every k-th file, so that the probe covers the whole list.
    return len(files), files[:: len(files) // _PROBED + 1]


def _open_source(info: Mapping[str, Any]) -> str | BinaryIO:
    """The path of a sample's video, or its bytes as a file with a name."""
    if 'video' not in info:
        return str(info['filename'])
    file = io.BytesIO(info['video'])
    file.name = info['filename']
    return file
