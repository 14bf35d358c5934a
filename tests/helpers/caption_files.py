"""The annotation files of the data sets as distributed, three lines each."""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


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
