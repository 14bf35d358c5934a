"""The annotation files of the data sets as distributed, three lines each, with their traps."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.caption_files import CASES
from helpers.videos import numbered_frames, write_video
from mmaction.registry import DATASETS
from mmengine.registry import DefaultScope

from mmstan.datasets import LSMDC, MSRVTT, MSVD, VATEX, ActivityNetCaptions, CaptionsJson, DiDeMo

PIPELINE = [
    dict(type='mmstan.ReadFrames', sampler=dict(type='mmstan.SampleSeconds', num_frames=4)),
    dict(type='Resize', scale=(32, 32), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(
        type='PackActionInputs',
        meta_keys=('img_shape', 'filename', 'video_id'),
        algorithm_keys=('captions', 'frame_mask'),
    ),
]


@pytest.fixture(scope='module')
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds."""
    path = write_video(tmp_path_factory.mktemp('video') / 'a.mp4', numbered_frames(16))
    return path.read_bytes()


def build(config: dict[str, Any], **arguments: Any) -> Any:
    with DefaultScope.overwrite_default_scope('mmaction'):
        return DATASETS.build({**config, **arguments})


@pytest.mark.parametrize('name', CASES)
def test_captions_and_files_of_a_test(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    dataset = build(case.write(tmp_path), test_mode=True)
    samples = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert {sample['video_id']: sample['captions'] for sample in samples} == case.captions
    assert [sample['video_id'] for sample in samples] == list(case.captions)
    files = {os.path.relpath(sample['filename'], tmp_path / 'videos') for sample in samples}
    assert files == set(case.files)
    assert dataset.num_missing == 0


@pytest.mark.parametrize('name', CASES)
def test_training_pairs(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    dataset = build(case.write(tmp_path))
    found = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [(sample['video_id'], *sample['captions']) for sample in found] == [
        (video, caption) for video, captions in case.captions.items() for caption in captions
    ]


@pytest.mark.parametrize('name', CASES)
def test_through_the_pipeline(name: str, video: bytes, tmp_path: Path) -> None:
    case = CASES[name]
    dataset = build(case.write(tmp_path, video), test_mode=True, pipeline=PIPELINE)
    for (video_id, captions), sample in zip(case.captions.items(), dataset, strict=True):
        assert sample['inputs'].shape == (1, 3, 4, 32, 32)
        data = sample['data_samples']
        assert (data.video_id, data.captions) == (video_id, captions)
        assert data.frame_mask.tolist() == [True, True, False, False]


def test_file_in_place_of_v_stripped_name(tmp_path: Path) -> None:
    case = CASES['ActivityNet']
    config = case.write(tmp_path)
    for path in (tmp_path / 'videos').rglob('*.m*'):
        path.unlink()
    (tmp_path / 'videos/v_v_y.mp4').touch()
    (tmp_path / 'videos/x.webm').touch()
    names = [Path(sample['filename']).name for sample in build_samples(config)]
    assert names == ['v_v_y.mp4', 'x.webm']


def build_samples(config: dict[str, Any]) -> list[dict[str, Any]]:
    dataset = build(config, test_mode=True)
    return [dataset.get_data_info(i) for i in range(len(dataset))]


class Harmful:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_cannot_run_code(tmp_path: Path) -> None:
    config = CASES['MSVD'].write(tmp_path)
    (tmp_path / 'raw-captions.pkl').write_bytes(pickle.dumps(Harmful(tmp_path / 'harm')))
    with pytest.raises(ValueError, match=r'ann_file=.*raw-captions\.pkl.*it asks for posix\.mkdir'):
        build(config)
    assert not (tmp_path / 'harm').exists()


@pytest.mark.parametrize(
    ('cls', 'files', 'message'),
    [
        (MSRVTT, dict(ann_file={'other': []}), 'must have sentences .* or annotations .*other'),
        (
            MSRVTT,
            dict(video_list=('list.csv', 'name\nvideo0\n')),
            r'lacks video_id: .*name',
        ),
        (MSRVTT, dict(video_list=('list.txt', 'video0\n')), "ann_file='' must name a file"),
        (MSVD, dict(ann_file='text'), 'must be a pickle of plain dicts'),
        (LSMDC, dict(ann_file='clip\tsentence\n'), "must have 6 columns .* not 'clip"),
        (ActivityNetCaptions, dict(ann_file={}, video_list=('a.json', '{}')), 'must hold a list'),
        (CaptionsJson, dict(ann_file=[]), 'must hold {file name: .* not a list'),
    ],
)
def test_other_files_are_refused(
    cls: type, files: dict[str, Any], message: str, tmp_path: Path
) -> None:
    arguments = {}
    for argument, content in files.items():
        name, content = content if isinstance(content, tuple) else ('file', content)
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / name).write_text(text)
        arguments[argument] = name
    with pytest.raises(ValueError, match=message):
        cls(**arguments, data_root=str(tmp_path))


@pytest.mark.parametrize('cls', [MSRVTT, MSVD, LSMDC, DiDeMo, ActivityNetCaptions, VATEX])
def test_missing_annotations_say_what_to_prepare(cls: type, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ann_file='.*none\.json' does not exist; prepare"):
        cls('none.json', data_root=str(tmp_path))
