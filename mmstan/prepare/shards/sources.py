"""Videos and captions in every layout that a data set of mmstan reads, one after the other."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS

from mmstan.datasets import VideoTextDataset
from mmstan.datasets.video_text.howto100m import HowTo100M
from mmstan.datasets.video_text.image_text import ImageText
from mmstan.datasets.video_text.narration import Caption
from mmstan.text_files import TextFile

_REPLACED = ('type', 'pipeline', 'pairs')  # of a config's data set


@dataclass(frozen=True)
class CaptionedVideo:
    """A video with the captions of all of it, or with windows that have one each.

    Attributes:
        path: The file.
        name: Its name below the folder of the videos.
        captions: Captions of the whole video, empty where there are windows.
        windows: Parts to cut out: seconds, and the words that are said in them.
    """

    path: str
    name: str
    captions: Sequence[str] = ()
    windows: Sequence[Caption] = ()


class VideosOfDataset(Sequence[CaptionedVideo]):
    """The videos of a video-text data set, read from it one by one: millions cost no memory here.

    Args:
        dataset: A data set whose samples are videos with all their captions.
    """

    def __init__(self, dataset: VideoTextDataset) -> None:
        self._dataset = dataset
        self._folder = dataset.data_prefix[dataset.folder_key]

    def __len__(self) -> int:
        return len(self._dataset)

    @overload
    def __getitem__(self, index: int) -> CaptionedVideo: ...

    @overload
    def __getitem__(self, index: slice) -> list[CaptionedVideo]: ...

    def __getitem__(self, index: int | slice) -> CaptionedVideo | list[CaptionedVideo]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        info = self._dataset.get_data_info(index)
        path = info['filename']
        inside = self._folder and path.startswith(os.path.join(self._folder, ''))
        name = os.path.relpath(path, self._folder) if inside else path
        if not isinstance(self._dataset, HowTo100M):
            return CaptionedVideo(path, name, tuple(info['captions']))
        captions = [Caption(*each) for each in json.loads(info['captions'][0])]
        chosen = (self._dataset.choose_window(captions, i) for i in range(len(captions)))
        return CaptionedVideo(path, name, windows=tuple(chosen))


def read_source(
    source: Path, videos: Path | None = None, windows: Path | None = None
) -> VideosOfDataset:
    """Read the list of videos.

    Args:
        source: A config, whose training data are read; a json of ``{file name: caption}``; a csv
            of WebVid; or a folder of videos with one such json or csv in it.
        videos: The folder of the videos, by default the folder of the list, or the config's.
        windows: HowTo100M's captions, a json or a folder of csv: each becomes a clip of at least
            four seconds. ``source`` is then a list of ids, or the folder of the videos.

    Raises:
        ValueError: ``source`` is none of these, or its content has another form.
        FileNotFoundError: It is missing, or the videos are.
    """
    if not source.exists():
        raise FileNotFoundError(
            f'{source} does not exist: give a config, a json or csv of captions, or a folder'
        )
    if windows is not None:
        return VideosOfDataset(_build(_narrated(source, windows), videos))
    if source.is_dir():
        source = _find_list(source)
    if source.suffix == '.py':
        return VideosOfDataset(_build(_read_config(source), videos))
    kind = _name_kind(source)
    cfg = ConfigDict(type=kind, ann_file=str(source), data_prefix=dict(video=str(source.parent)))
    return VideosOfDataset(_build(cfg, videos))


def _narrated(source: Path, windows: Path) -> ConfigDict:
    """The config of HowTo100M's data set, on all videos of a folder or of a list."""
    folder, ann_file = (source, '') if source.is_dir() else (source.parent, str(source))
    prefix = dict(video=str(folder))
    return ConfigDict(
        type='mmstan.HowTo100M', ann_file=ann_file, captions=str(windows), data_prefix=prefix
    )


def _find_list(folder: Path) -> Path:
    lists = sorted(path for path in folder.iterdir() if path.suffix in ('.json', '.csv'))
    if len(lists) != 1:
        names = [path.name for path in lists[:3]]
        raise ValueError(
            f'{folder} must have one json or csv with the captions of its videos, and has '
            f'{names or "none"}: give the path of the list, and --videos {folder}'
        )
    return lists[0]


def _name_kind(source: Path) -> str:
    """The data set that reads a list of captions."""
    if source.suffix == '.json':
        return 'mmstan.CaptionsJson'
    if source.suffix == '.csv':
        return 'mmstan.WebVid'
    raise TextFile('', str(source)).error(
        'it must be a config (.py), a json of {file name: caption}, or a csv of WebVid; other '
        'layouts are read by way of a config whose training data they are'
    )


def _read_config(source: Path) -> ConfigDict:
    dataset = Config.fromfile(source).get('train_dataloader', {}).get('dataset')
    while dataset and ('dataset' in dataset or 'datasets' in dataset):  # a wrapper
        parts = dataset.get('datasets') or [dataset.get('dataset')]
        if len(parts) > 1:
            raise ValueError(
                f'{source}: {dataset.type} of train_dataloader has {len(parts)} data sets, and a '
                'folder of shards is made from one: give a config for each, and mix their shards '
                'with mmstan.MixedClips'
            )
        (dataset,) = parts
    if not dataset:
        raise ValueError(f'{source} has no train_dataloader.dataset: give a config that trains')
    return dataset


def _build(cfg: ConfigDict, videos: Path | None) -> VideoTextDataset:
    """Build the data set; a sample is a video with all its captions."""
    with DATASETS.switch_scope_and_registry('mmaction') as registry:
        kind: Any = registry.get(cfg.type)
        if not (isinstance(kind, type) and issubclass(kind, VideoTextDataset)):
            raise ValueError(
                f"type='{cfg.type}' has no captions and video files: give a config whose training "
                'data are video files with captions'
            )
        arguments = {key: value for key, value in cfg.items() if key not in _REPLACED}
        if videos is not None:
            arguments['data_prefix'] = {kind.folder_key: str(videos)}
        if not issubclass(kind, ImageText):
            arguments['pairs'] = 'random'
        dataset: VideoTextDataset = kind(**arguments, pipeline=[])
    return dataset
