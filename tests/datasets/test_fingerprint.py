from pathlib import Path
from typing import Any

import numpy as np
from helpers.ava_files import TRUTH, dataset_config
from mmengine.dataset import BaseDataset, ConcatDataset, RepeatDataset
from mmengine.registry import DATASETS

from mmstan.datasets import AVADataset, VideoDataset
from mmstan.datasets.fingerprint import fingerprint

LINES = ['a.mp4 0', 'sub/b.mp4 1', 'c.mp4 0']


def dataset(folder: Path, lines: list[str], data: str = 'data', **arguments: Any) -> VideoDataset:
    (folder / data).mkdir(parents=True, exist_ok=True)
    path = folder / 'list.txt'
    path.write_text('\n'.join(lines) + '\n')
    return VideoDataset(str(path), [], data_prefix=dict(video=str(folder / data)), **arguments)


def test_order_and_labels_count(tmp_path: Path) -> None:
    same = [fingerprint(dataset(tmp_path, LINES)) for _ in range(2)]
    others = [
        fingerprint(dataset(tmp_path, lines))
        for lines in (LINES[::-1], LINES[:2], ['a.mp4 1', *LINES[1:]], ['d.mp4 0', *LINES[1:]])
    ]
    assert len(same[0]) == 32
    assert len({*same, *others}) == 5


def test_data_may_move(tmp_path: Path) -> None:
    prints = {fingerprint(dataset(tmp_path, LINES, data)) for data in ('data', 'scratch/7', 'x')}
    assert len(prints) == 1


def test_wrappers_are_looked_through(tmp_path: Path) -> None:
    plain, turned = dataset(tmp_path, LINES), dataset(tmp_path, LINES[::-1])
    wrapped = [
        ConcatDataset([plain, turned]),
        ConcatDataset([turned, plain]),
        RepeatDataset(plain, times=2),
        RepeatDataset(turned, times=2),
    ]
    assert len({fingerprint(each) for each in wrapped}) == 4


@DATASETS.register_module(force=True)
class Arrays(BaseDataset):
    def load_data_list(self) -> list[dict]:
        return [dict(boxes=np.full((1, 4), self.metainfo['value']))]


def test_arrays_count_by_their_values() -> None:
    first, same, other = (fingerprint(Arrays(metainfo=dict(value=v))) for v in (0.5, 0.5, 0.25))
    assert first == same != other
    assert fingerprint([1, 2]) != fingerprint([1, 2, 3])


def test_several_labels_count_by_their_values(tmp_path: Path) -> None:
    several = dict(multi_class=True, num_classes=4)
    prints = [
        fingerprint(dataset(tmp_path, [f'a.mp4 {labels}', 'b.mp4 0'], **several))
        for labels in ('1 2', '1 2', '1 3', '1')
    ]
    assert prints[0] == prints[1]
    assert len({*prints}) == 3


def test_annotations_of_key_frames_may_move_and_their_boxes_count(tmp_path: Path) -> None:
    videos = tmp_path / 'videos'
    videos.mkdir()
    for name in ('a.mp4', 'b.mp4'):
        (videos / name).touch()
    prints = []
    for place, truth in (('here', TRUTH), ('there', TRUTH), ('other', TRUTH.replace('0.6', '0.7'))):
        (tmp_path / place).mkdir()
        config = dataset_config(tmp_path / place, videos)
        Path(config['ann_file']).write_text(truth)
        prints.append(fingerprint(AVADataset(**config)))
    assert prints[0] == prints[1] != prints[2]
