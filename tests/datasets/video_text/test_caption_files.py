"""The annotation files of the data sets as distributed, three lines each, with their traps."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.videos import numbered_frames, write_video
from mmaction.registry import DATASETS
from mmengine.registry import DefaultScope

from mmstan.datasets import LSMDC, MSRVTT, MSVD, VATEX, ActivityNetCaptions, CaptionsJson, DiDeMo
from mmstan.datasets.annotation_files import read_names


@dataclass
class Case:
    """Annotation files, the names of the videos' files, and what is to come out of them."""

    type: str
    arguments: dict[str, str]
    annotations: dict[str, Any]
    files: list[str]
    captions: dict[str, list[str]]

    def write(self, root: Path, video: bytes = b'') -> dict[str, Any]:
        """Make the files below ``root`` and return the data set's config."""
        for name, content in self.annotations.items():
            if not isinstance(content, (str, bytes)):
                content = json.dumps(content)
            data = content.encode() if isinstance(content, str) else content
            (root / name).write_bytes(data)
        for name in self.files:
            path = root / 'videos' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(video)
        folders = dict(data_root=str(root), data_prefix=dict(video='videos'))
        return dict(type=f'mmstan.{self.type}', **self.arguments, **folders)


def sentences(**captions: list[str]) -> list[dict[str, Any]]:
    """MSR-VTT's, one of each video in turn."""
    longest = max(map(len, captions.values()))
    return [
        dict(video_id=video, caption=texts[i], sen_id=i)
        for i in range(longest)
        for video, texts in captions.items()
        if i < len(texts)
    ]


MSRVTT_DATA = dict(
    info={},
    videos=[dict(video_id='video0', category=1, split='train')],
    sentences=sentences(video0=['a dog', 'a cat'], video7=['rain', 'snow'], video9=['no', 'nor']),
)
FROZEN_DATA = dict(
    images=[dict(id='video0')],
    annotations=[
        dict(image_id=entry['video_id'], caption=entry['caption'])
        for entry in MSRVTT_DATA['sentences']
    ],
)
# What Python 2 writes for {'x_1_9': [['a', 'Bront\xeb'], ['b']]}
PYTHON2_PICKLE = b"(dS'x_1_9'\n(l(lS'a'\naS'Bront\xeb'\naa(lS'b'\naas."
HEADED = 'key,vid_key,video_id,sentence\n'

CASES = {
    'MSR-VTT, training': Case(
        'MSRVTT',
        dict(ann_file='MSRVTT_data.json', video_list='MSRVTT_train.9k.csv'),
        {
            'MSRVTT_data.json': MSRVTT_DATA,
            'MSRVTT_train.9k.csv': 'video_id\r\nvideo7\r\nvideo0\r\n',
        },
        ['video0.mp4', 'video7.webm'],
        dict(video7=['rain', 'snow'], video0=['a dog', 'a cat']),
    ),
    'MSR-VTT 1k-A, sentences of the csv': Case(
        'MSRVTT',
        dict(ann_file='MSRVTT_data.json', video_list='MSRVTT_JSFUSION_test.csv'),
        {
            'MSRVTT_data.json': MSRVTT_DATA,
            'MSRVTT_JSFUSION_test.csv': HEADED
            + 'ret0,msr9,video9,"one, ""two"""\nret1,msr0,video0,three\n',
        },
        ['video0.mp4', 'video9.mp4'],
        dict(video9=['one, "two"'], video0=['three']),
    ),
    'MSR-VTT 1k-A, without a json': Case(
        'MSRVTT',
        dict(video_list='test.csv'),
        {'test.csv': '\ufeff' + HEADED + 'ret0,msr9,video9,one\n'},
        ['video9.mp4'],
        dict(video9=['one']),
    ),
    'MSR-VTT, Frozen, training': Case(
        'MSRVTT',
        dict(ann_file='MSR_VTT.json', video_list='train_list_jsfusion.txt'),
        {'MSR_VTT.json': FROZEN_DATA, 'train_list_jsfusion.txt': 'video0\nvideo7\n'},
        ['video0.mp4', 'video7.mp4'],
        dict(video0=['a dog', 'a cat'], video7=['rain', 'snow']),
    ),
    'MSR-VTT, Frozen, test': Case(
        'MSRVTT',
        dict(
            ann_file='MSRVTT_data.json',  # renamed, as DRL advises
            video_list='val_list_jsfusion.txt',
            caption_index='jsfusion_val_caption_idx.pkl',
        ),
        {
            'MSRVTT_data.json': FROZEN_DATA,
            'val_list_jsfusion.txt': 'video9\nvideo7',
            'jsfusion_val_caption_idx.pkl': pickle.dumps({'video7': 0, 'video9': np.int64(1)}),
        },
        ['video9.mp4', 'video7.mp4'],
        dict(video9=['nor'], video7=['rain']),
    ),
    'MSVD': Case(
        'MSVD',
        dict(ann_file='raw-captions.pkl', video_list='test_list.txt'),
        {
            'raw-captions.pkl': pickle.dumps({'-a_1_9': [['a', 'man'], ['b']], 'z_0_1': [['c']]}),
            'test_list.txt': 'z_0_1\n-a_1_9',
        },
        ['YouTubeClips/-a_1_9.avi', 'YouTubeClips/z_0_1.AVI'],
        {'z_0_1': ['c'], '-a_1_9': ['a man', 'b']},
    ),
    'MSVD, from Python 2': Case(
        'MSVD',
        dict(ann_file='raw-captions.pkl'),
        {'raw-captions.pkl': PYTHON2_PICKLE},
        ['x_1_9.avi'],
        {'x_1_9': ['a Bront\xeb', 'b']},
    ),
    'LSMDC': Case(
        'LSMDC',
        dict(ann_file='LSMDC16_annos_val.csv'),
        {
            'LSMDC16_annos_val.csv': 'M_0.00.51.926-00.54.129\ta\tb\tc\td\tHe says, "Go.\n'
            'M_1.00.58.000-00.59.129\ta\tb\tc\td\t"No" she\tsays.\n'
            'M_0.00.51.926-00.54.129\ta\tb\tc\td\tHe leaves.\n'
        },
        ['M/M_0.00.51.926-00.54.129.avi', 'M/N/M_1.00.58.000-00.59.129.mp4'],
        {
            'M_0.00.51.926-00.54.129': ['He says, "Go.', 'He leaves.'],
            'M_1.00.58.000-00.59.129': ['"No" she\tsays.'],
        },
    ),
    'DiDeMo': Case(
        'DiDeMo',
        dict(ann_file='test_data.json', video_list='test_list.txt'),
        {
            'test_data.json': [
                dict(video='1@N0_b.', description='then rain ', times=[[3, 3]]),
                dict(video='1@N0_a.MOV', description='only this', times=[[0, 1]]),
                dict(video='1@N0_b.', description='first sun', times=[[0, 0]]),
                dict(video='1@N0_c.m2ts', description='sea', times=[[0, 0]]),
                dict(video='1@N0_d.', description='sand', times=[[0, 0]]),
            ],
            'test_list.txt': '1@N0_a.MOV\n1@N0_b.\n1@N0_c.m2ts\n1@N0_d.\n',
        },
        ['1@N0_a.MOV', '1@N0_b.', 'more/1@N0_c.mp4', '1@N0_d.avi'],
        {
            '1@N0_a.MOV': ['only this'],
            '1@N0_b.': ['then rain first sun'],
            '1@N0_c.m2ts': ['sea'],
            '1@N0_d.': ['sand'],
        },
    ),
    'ActivityNet': Case(
        'ActivityNetCaptions',
        dict(ann_file='val_1.json', video_list='val_ids.json'),
        {
            'val_1.json': {
                'v_x': dict(duration=9, timestamps=[[0, 1], [1, 2]], sentences=['A.', ' B.']),
                'v_v_y': dict(duration=9, timestamps=[[0, 1]], sentences=['C.']),
            },
            'val_ids.json': ['v_v_y', 'v_x'],
        },
        ['part/v_x.mkv', 'v_y.mp4'],
        {'v_v_y': ['C.'], 'v_x': ['A. B.']},
    ),
    'VATEX, CLIP2Video': Case(
        'VATEX',
        dict(ann_file='vatex_data.json', video_list='test1k5_sec_list.txt'),
        {
            'vatex_data.json': {
                'G9_000179_000189': dict(enCap=['a', 'b'], chCap=['c']),
                'H_000000_000010': dict(enCap=['d']),
            },
            'test1k5_sec_list.txt': 'H_000000_000010\nG9_000179_000189\n',
        },
        ['G9_000179_000189.mp4', 'H_000000_000010.mp4'],
        {'H_000000_000010': ['d'], 'G9_000179_000189': ['a', 'b']},
    ),
    'VATEX, TS2-Net': Case(
        'VATEX',
        dict(ann_file='ref_captions.json'),
        {'ref_captions.json': {'G9_000179_000189': ['a', 'b']}},
        ['G9_000179_000189.mp4'],
        {'G9_000179_000189': ['a', 'b']},
    ),
    'MMAction2': Case(
        'CaptionsJson',
        dict(ann_file='train.json'),
        {'train.json': {'train/0.mp4': ['a', 'b'], './1.avi': 'c', 'test/0.mp4': ['d']}},
        ['train/0.mp4', '1.mp4', 'test/0.mp4'],
        {'train/0.mp4': ['a', 'b'], './1.avi': ['c'], 'test/0.mp4': ['d']},
    ),
}
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


# --- files as people write them ---

HEADED_ROW = HEADED + 'ret0,msr0,video0,'


@pytest.fixture
def captions_of(tmp_path: Path) -> Callable[[str, str | bytes], dict[str, list[str]]]:
    """Write a file and read it with the data set for its kind."""
    (tmp_path / 'videos').mkdir()
    for name in ('video0.mp4', 'video1.mp4', 'cafe\u0301.mp4'):
        (tmp_path / 'videos' / name).touch()

    def read(name: str, content: str | bytes) -> dict[str, list[str]]:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        common = dict(data_root=str(tmp_path), data_prefix=dict(video='videos'), test_mode=True)
        if name.endswith('.csv'):
            dataset = MSRVTT(video_list=name, **common)
        else:
            dataset = READERS[name.split('.')[0]](name, **common)
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        return {info['video_id']: info['captions'] for info in infos}

    return read


READERS = {
    'own': CaptionsJson,
    'msrvtt': MSRVTT,
    'msvd': MSVD,
    'lsmdc': LSMDC,
    'didemo': DiDeMo,
    'activitynet': ActivityNetCaptions,
    'vatex': VATEX,
}


@pytest.mark.parametrize(
    ('name', 'content', 'captions'),
    [
        ('own.json', b'\xef\xbb\xbf{"video0.mp4": ["a man"]}', {'video0.mp4': ['a man']}),
        (
            'own.json',
            '{"video0.mp4": ["a", "b"], "video1.mp4": "c", "video0.mp4": ["b", "d"]}',
            {'video0.mp4': ['a', 'b', 'd'], 'video1.mp4': ['c']},
        ),
        ('own.json', '{"café.mp4": ["a"], "cafe\u0301.mp4": "b"}', {'café.mp4': ['a', 'b']}),
        ('own.json', '{" video0.mp4 ": [" a ", "b", ""]}', {'video0.mp4': ['a', 'b']}),
        ('test.csv', HEADED_ROW + '"a man, who sings"\r\n', {'video0': ['a man, who sings']}),
        ('test.csv', HEADED_ROW + 'he says "hi"\n,,,\n', {'video0': ['he says "hi"']}),
        (
            'test.csv',
            (HEADED_ROW + 'a man, who sings').replace(',', ';').replace('man;', 'man,'),
            {'video0': ['a man, who sings']},
        ),
        ('lsmdc.csv.txt', '\ufeffvideo0\ta\tb\tc\td\te, f\r\n\r\n', {'video0': ['e, f']}),
        ('vatex.json', '{"video0": "a man"}', {'video0': ['a man']}),
    ],
)
def test_what_has_one_meaning_is_read(
    name: str, content: str | bytes, captions: dict[str, list[str]], captions_of: Callable[..., Any]
) -> None:
    assert captions_of(name, content) == captions


def msrvtt(**entry: Any) -> str:
    return json.dumps(dict(sentences=[dict(video_id='video0', caption='a'), entry]))


@pytest.mark.parametrize(
    ('name', 'content', 'problem'),
    [
        ('own.json', '{"video0.mp4":\n{"caption": "a", "source": "x"}}', 'line 1: the captions of'),
        (
            'own.json',
            '{"video0.mp4": ["a", null]}',
            "line 1: a caption of 'video0.mp4' must be a t",
        ),
        ('own.json', '{"video0.mp4": [3]}', "a caption of 'video0.mp4' must be a text, not 3"),
        ('own.json', '{\n"video0.mp4": null}', "line 2: the captions of 'video0.mp4' must be"),
        ('own.json', r'{"video0.mp4": ["a \u0000"]}', 'must be a text, not '),
        ('own.json', r'{"video0.mp4": ["a \ud800"]}', 'must be a text, not '),
        ('own.json', '{"video0.mp4": ["a"], "": ["b"]}', "'' must be the name of a video"),
        (
            'own.json',
            '{"video0.mp4": ["a"], "/etc/passwd": "b"}',
            "'/etc/passwd' is not below data",
        ),
        ('own.json', '{"../../etc/passwd": "b"}', 'line 1: the video .* is not below data_prefix'),
        ('own.json', '{"video0.mp4": NaN}', 'NaN is no value of JSON'),
        ('own.json', 'null', 'it must hold {file name: .captions.}, not a NoneType'),
        ('own.json', '{"video0.mp4": ["a"]}'.encode('utf-16'), 'it is in UTF-16; save it as UTF-8'),
        ('own.json', '{"video0.mp4": ["a"]}\n{}\n', 'line 2: it is not JSON .one object a line'),
        ('own.json', '{"video0.mp4": ["a"', 'line 1: it is not JSON'),
        (
            'test.csv',
            HEADED_ROW + 'a man, who sings\n',
            'line 2: .* has 5 fields, and the header 4',
        ),
        ('test.csv', HEADED_ROW[:-1] + '\n', 'line 2: .* has 3 fields'),
        ('test.csv', (HEADED_ROW + 'café\n').encode('cp1252'), 'line 2: byte 0xe9 in .*café'),
        ('test.csv', HEADED + 'ret0,msr0,,a man\n', "line 2: '' must be the name of a video"),
        (
            'msrvtt.json',
            msrvtt(video_id='video1', caption=None),
            'caption 2 must be an object with',
        ),
        ('msrvtt.json', msrvtt(caption='b'), 'None must be the name of a video'),
        ('msrvtt.json', '{"sentences": null}', 'must hold a list of captions, not a NoneType'),
        ('msrvtt.json', '[]', 'it must hold {sentences: .* not a list'),
        ('msvd.pkl', pickle.dumps({'video0': 'a man'}), 'lists of words for .video0.*, not a str'),
        ('msvd.pkl', pickle.dumps({'video0': [['a', 3]]}), "of 'video0' must be a text, not 3"),
        ('msvd.pkl', pickle.dumps([]), 'it must hold {id: .* not a list'),
        ('lsmdc.txt', 'video0\ta\tb\tc\td\te\nvideo1\tf\n', 'line 2: it must have 6 columns'),
        ('didemo.json', '[{"video": "video0"}]', 'caption 1 must be an object with .video. and a'),
        ('didemo.json', '{"video": "video0"}', 'must hold a list of captions, not a dict'),
        (
            'activitynet.json',
            '{"video0": {"sentences": "a."}}',
            "entry of video0 must .* 'sentences'",
        ),
        (
            'activitynet.json',
            '{"video0": null}',
            "entry of video0 must be an object with a list 'se",
        ),
        (
            'vatex.json',
            '{"video0": {"enCap": "a"}}',
            "entry of video0 must be an object .* 'enCap'",
        ),
        ('vatex.json', '{"video0": ["a"], "video0": ["b"]}', "the key 'video0' stands 2 times"),
        ('vatex.json', '[' * 100_000, 'it is nested too deeply'),
    ],
)
def test_what_has_none_names_file_and_place(
    name: str, content: str | bytes, problem: str, captions_of: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match=rf'{name}.*{problem}') as error:
        captions_of(name, content)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('index', 'problem'),
    [
        ({'video0': 1}, 'the caption of video0 must be one of 0 to 0, not 1'),
        ({'video0': -1}, 'the caption of video0 must be one of 0 to 0, not -1'),
        ({'video0': 'a'}, "must be one of 0 to 0, not 'a'"),
        ({'video9': 0}, r"it has none of the videos of ann_file, \['video0'\]"),
        ([0], 'it must hold {video: number}, not a list'),
    ],
)
def test_chosen_captions_that_are_none(index: Any, problem: str, tmp_path: Path) -> None:
    (tmp_path / 'index.pkl').write_bytes(pickle.dumps(index))
    (tmp_path / 'data.json').write_text(
        json.dumps(dict(sentences=[dict(video_id='video0', caption='a')]))
    )
    with pytest.raises(ValueError, match=rf'^caption_index=.*index\.pkl.*{problem}'):
        MSRVTT('data.json', caption_index='index.pkl', data_root=str(tmp_path))


def test_paths_as_they_are_without_a_folder(tmp_path: Path) -> None:
    (tmp_path / 'a.mp4').touch()
    (tmp_path / 'own.json').write_text(json.dumps({str(tmp_path / 'a.mp4'): 'text'}))
    dataset = CaptionsJson(str(tmp_path / 'own.json'), test_mode=True)
    assert dataset.get_data_info(0)['filename'] == str(tmp_path / 'a.mp4')


@pytest.mark.parametrize(
    ('name', 'content', 'problem'),
    [
        ('a.json', '["video0", null]', 'None must be the name of a video'),
        ('a.json', '{"video0": "text"}', 'it must hold a list of videos, not a dict'),
        ('a.csv', 'video_id,x\nvideo0\n', r"line 2: \['video0'\] has 1 fields"),
        ('a.txt', b'video0\nvid\x00eo1\n', 'line 2: it has the character'),
    ],
)
def test_splits_that_are_refused(
    name: str, content: str | bytes, problem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=rf'^video_list=.*{name}.*{problem}'):
        read_names('video_list', str(tmp_path / name))


def test_splits_as_people_write_them(tmp_path: Path) -> None:
    for name, content in (
        ('a.txt', '\ufeffvideo0 \r\n\r\ncafe\u0301\r\n7'),
        ('a.csv', 'n,video_id\n\n1,video0\n2,"café"\n3, 7\n'),
        ('a.json', '["video0", "cafe\u0301", 7]'),
    ):
        (tmp_path / name).write_text(content, 'utf-8')
        assert read_names('video_list', str(tmp_path / name)) == ['video0', 'café', '7']
