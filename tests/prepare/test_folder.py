import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mmstan.prepare.folder import read_folder


def test_classes_are_folders_and_nothing_is_passed_over_in_silence(untidy: Path) -> None:
    source = read_folder(untidy)
    labels = [entry.label for entry in source.entries]
    assert {label: labels.count(label) for label in labels} == {
        'JumpRope': 9, 'brush_hair': 9, 'Äpfel schälen': 7,  # decomposed and composed are one
    }  # fmt: skip
    assert dict(source.left_out) == {
        'brush_hair/dangling.mp4': 'is a link to nothing',
        'loose.mp4': 'lies in no class folder',
    }
    assert source.notes == [
        'the folder nothing has no video and makes no class',
        'hidden and system files, passed over: 3 (1 x .DS_Store, 1 x ._*, 1 x Thumbs.db)',
        'files that are no videos, passed over: 3 (1 x .md, 1 x .txt, 1 x no suffix)',
        'links to a folder above them, not followed: loop',
    ]
    assert all(entry.split is None and not entry.is_part for entry in source.entries)


def test_a_folder_that_cannot_be_read_is_left_out(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, scan = folder({'run/a.mp4': 0, 'run/closed/b.mp4': 1}), os.scandir
    (root / 'run/itself.mp4').symlink_to('itself.mp4')

    def scandir(path: str) -> object:
        if path.endswith('closed'):
            raise PermissionError(13, 'Permission denied')
        return scan(path)

    monkeypatch.setattr(os, 'scandir', scandir)
    source = read_folder(root)
    assert [entry.name for entry in source.entries] == ['run/a.mp4']
    assert dict(source.left_out) == {
        'run/closed': 'is a folder that cannot be read (Permission denied)',
        'run/itself.mp4': 'is a link to nothing',
    }


def test_folders_of_splits(folder: Callable[..., Path]) -> None:
    root = folder({'Training/run/a.mp4': 0, 'valid/run/deep/b.mp4': 1, 'test/walk/c.mp4': 2})
    found = [(entry.name, entry.label, entry.split) for entry in read_folder(root).entries]
    assert sorted(found) == [
        ('Training/run/a.mp4', 'run', 'train'),
        ('test/walk/c.mp4', 'walk', 'test'),
        ('valid/run/deep/b.mp4', 'run', 'val'),
    ]


def test_a_class_may_be_called_as_a_split_is(folder: Callable[..., Path]) -> None:
    vehicles = read_folder(folder({'train/a.mp4': 0, 'bus/b.mp4': 1}, 'vehicles'))
    assert [(entry.label, entry.split) for entry in vehicles.entries] == [
        ('bus', None), ('train', None),
    ]  # fmt: skip
    alone = read_folder(folder({'train/run/a.mp4': 0}, 'alone'))
    assert [(entry.label, entry.split) for entry in alone.entries] == [('run', None)]


@pytest.mark.parametrize(
    ('files', 'problem'),
    [
        (['a.mp4', 'b.mp4'], r'has 2 videos \(a.mp4, b.mp4\) and no class folder with videos: put'),
        (['run/notes.txt'], 'has no class folder with videos: put the videos of each class into'),
        (['train/r/a.mp4', 'val/r/b.mp4', 'more/c.mp4'], 'has train/, val/ and next to .* more/'),
        (['val/r/a.mp4', 'test/r/b.mp4'], 'has test/ and val/ and no folder for training; put one'),
        (['train/r/a.mp4', 'val/r/b.mp4', 'Val/r/b.mp4'], "Val/ and val/ are both the split 'val'"),
    ],
)
def test_folders_that_are_refused(
    files: list[str], problem: str, folder: Callable[..., Path]
) -> None:
    root = folder(dict.fromkeys(files, 0))
    with pytest.raises(ValueError, match=problem):
        read_folder(root)
