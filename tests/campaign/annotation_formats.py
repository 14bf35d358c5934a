"""The forms of annotation files: one that is right, how the project reads it, its reference."""

from __future__ import annotations

import pickle
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from campaign.annotation_references import (
    need,
    refer_activitynet,
    refer_captions,
    refer_class_json,
    refer_class_table,
    refer_classes,
    refer_entries,
    refer_index,
    refer_labels,
    refer_lsmdc,
    refer_msvd,
    refer_segments,
    refer_sentences,
    refer_split,
    refer_vatex,
)
from campaign.annotation_texts import (
    IDS,
    NAMES,
    TEXTS,
    VIDEOS,
    as_json,
    as_lines,
    labelled,
    lines_of,
    name_of,
    numbered_names,
    pairs_of,
    quoted,
)
from mmengine.config import Config

from mmstan import datasets
from mmstan.config.labels import check_labels
from mmstan.models.heads import read_class_names

REMOTE = 's3://bucket/videos'
_FAST = dict(serialize_data=False)  # collects no garbage among a million imported objects


@dataclass(frozen=True)
class Format:
    """A kind of annotation file.

    Attributes:
        name: What is read.
        file: The name of the file.
        content: One that is right.
        read: The project's reader: path, folder of the videos -> plain content.
        refer: The reference: bytes -> the same content, or ValueError.
    """

    name: str
    file: str
    content: bytes
    read: Callable[[Path, Path], Any]
    refer: Callable[[bytes], Any]


# --- the project ---


def shown(dataset: Any) -> dict[str, list[str]]:
    samples = (dataset.get_data_info(i) for i in range(len(dataset)))
    found = {}
    for sample in samples:
        assert sample['filename'].startswith(REMOTE + '/')
        found[sample['video_id']] = sample['captions']
    return found


def text_reader(cls: type, argument: str = 'ann_file', **fixed: str) -> Callable[[Path, Path], Any]:
    def read(path: Path, videos: Path) -> Any:
        files = {key: str(path.parent / name) for key, name in fixed.items()}
        prefix = dict(video=REMOTE)
        arguments = {**files, argument: str(path)}
        common = dict(test_mode=True, missing='report', **_FAST)
        return shown(cls(**arguments, data_prefix=prefix, **common))

    return read


def read_list(path: Path, videos: Path) -> Any:
    dataset = datasets.VideoDataset(str(path), [], data_prefix=dict(video=str(videos)), **_FAST)
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    found = []
    for sample in samples:
        name = unicodedata.normalize('NFC', sample['filename'].removeprefix(f'{videos}/'))
        assert name not in VIDEOS or Path(sample['filename']).exists(), 'spelled as on disk'
        # a//b is the file a/b, as in the reference.
        found.append((re.sub('/+', '/', name), sample['label']))
    return found


def read_segments(path: Path, videos: Path) -> Any:
    dataset = datasets.EpicKitchens(str(path), data_prefix=dict(video=str(videos)), **_FAST)
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [
        (name_of(Path(s['filename']).stem), s['start_seconds'], s['end_seconds'], s['label'])
        for s in samples
    ]


def read_labels(path: Path, videos: Path) -> Any:
    """Whether the labels are classes."""
    dataset = dict(type='mmstan.VideoDataset', ann_file=str(path))
    cfg = dict(
        model=dict(cls_head=dict(num_classes=len(NAMES))),
        train_dataloader=dict(dataset=dict(type='RepeatDataset', times=2, dataset=dataset)),
    )
    check_labels(Config(cfg), ['train'])
    return 'classes'


def read_classes(path: Path, videos: Path) -> list[str]:
    return read_class_names(str(path))


# --- the forms ---


MSRVTT_DATA = [dict(video_id=v, caption=t) for t in TEXTS[:3:2] for v in IDS]
TIMES = '00:00:01.50,00:01:02.25'
FORMATS = [
    Format(
        'list of labels',
        'list.txt',
        numbered_names(),
        read_list,
        labelled,
    ),
    Format('labels and classes', 'train.txt', numbered_names(), read_labels, refer_labels),
    Format(
        "captions of one's own",
        'captions.json',
        as_json({name: TEXTS[i:] if i % 2 else TEXTS[i] for i, name in enumerate(VIDEOS)}),
        text_reader(datasets.CaptionsJson),
        refer_captions,
    ),
    Format(
        'MSR-VTT, json',
        'MSRVTT_data.json',
        as_json(dict(info={}, sentences=MSRVTT_DATA)),
        text_reader(datasets.MSRVTT),
        refer_entries('sentences', 'video_id', 'caption', False),
    ),
    Format(
        'MSR-VTT, csv',
        'test.csv',
        as_lines(
            'key,vid_key,video_id,sentence',
            *(f'ret{i},msr{i},{v},{quoted(t)}' for i, (v, t) in enumerate(zip(IDS, TEXTS))),
        ),
        text_reader(datasets.MSRVTT, 'video_list'),
        refer_sentences,
    ),
    Format(
        'MSR-VTT, index',
        'index.pkl',
        pickle.dumps({IDS[0]: 1, IDS[1]: np.int64(0)}),
        text_reader(datasets.MSRVTT, 'caption_index', ann_file='data.json'),
        refer_index,
    ),
    Format(
        'MSVD',
        'raw-captions.pkl',
        pickle.dumps({v: [t.split() for t in TEXTS[i:]] for i, v in enumerate(IDS)}, protocol=2),
        text_reader(datasets.MSVD),
        refer_msvd,
    ),
    Format(
        'LSMDC',
        'annos.csv',
        as_lines(*(f'{v}\t00:01\t00:02\t00:01\t00:02\t{t}' for v, t in zip(IDS, TEXTS))),
        text_reader(datasets.LSMDC),
        refer_lsmdc,
    ),
    Format(
        'DiDeMo',
        'didemo.json',
        as_json([dict(video=v, description=t, times=[[0, 1]]) for v, t in zip(VIDEOS, TEXTS)]),
        text_reader(datasets.DiDeMo),
        refer_entries('', 'video', 'description', True),
    ),
    Format(
        'ActivityNet',
        'activitynet.json',
        as_json({v: dict(duration=9.5, sentences=TEXTS[i:]) for i, v in enumerate(IDS)}),
        text_reader(datasets.ActivityNetCaptions),
        refer_activitynet,
    ),
    Format(
        'VATEX',
        'vatex.json',
        as_json({v: dict(enCap=TEXTS[i:], chCap=['x']) for i, v in enumerate(IDS)}),
        text_reader(datasets.VATEX),
        refer_vatex,
    ),
    Format(
        'EPIC-Kitchens',
        'epic.csv',
        as_lines(
            'narration_id,video_id,start_timestamp,stop_timestamp,narration,verb_class,noun_class',
            *(f'n{i},{v},{TIMES},{quoted(TEXTS[i])},{i},{9 - i}' for i, v in enumerate(IDS)),
        ),
        read_segments,
        refer_segments,
    ),
    Format(
        'split, lines',
        'list.txt',
        as_lines(*IDS),
        text_reader(datasets.MSRVTT, 'video_list', ann_file='data.json'),
        lambda data: refer_split(lines_of(data)),
    ),
    Format(
        'split, json',
        'list.json',
        as_json(IDS),
        text_reader(datasets.MSRVTT, 'video_list', ann_file='data.json'),
        lambda data: refer_split(need(pairs_of(data), list)),
    ),
    Format('class names', 'names.txt', as_lines(*NAMES), read_classes, refer_classes),
    Format(
        'class names, csv',
        'names.csv',
        as_lines('id,name', *(f'{i},{quoted(name)}' for i, name in enumerate(NAMES))),
        read_classes,
        refer_class_table,
    ),
    Format(
        'class names, json',
        'names.json',
        as_json({name: str(i) for i, name in enumerate(NAMES)}),
        read_classes,
        refer_class_json,
    ),
]
