import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmstan.datasets.moving_shapes.folder import (
    finish_folder,
    is_finished,
    prepare_folder,
    write_json,
)

OLD, NEW = dict(seed=0), dict(seed=1)


class Killed(BaseException):
    """What a kill is: nothing is tidied up."""


def kill_at(moment: int, patch: pytest.MonkeyPatch) -> None:
    """Die before the ``moment``-th change of the file system."""
    changes = iter(range(100))

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            if next(changes) == moment:
                raise Killed
            return change(*args, **kwargs)

        return run

    patch.setattr('os.replace', dying(shutil.os.replace))
    patch.setattr('shutil.rmtree', dying(shutil.rmtree))
    for name in ('mkdir', 'unlink', 'write_text'):
        patch.setattr(Path, name, dying(getattr(Path, name)))


def make(folder: Path, manifest: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    prepare_folder(folder, manifest)
    for split in ('train', 'test'):
        clip = folder / split / '000000.mp4'
        if not clip.exists():
            clip.write_text(str(manifest))
    write_json(folder / 'train.json', manifest)
    finish_folder(folder, manifest)


# 20 changes: the old manifest is marked, four things are removed, the new one and two clips follow.
@pytest.mark.parametrize('moment', range(20))
@pytest.mark.parametrize('before', [None, OLD])
def test_killed_at_any_moment(before: dict[str, Any] | None, moment: int, tmp_path: Path) -> None:
    """The next call goes on, and no clip is of other parameters than the manifest."""
    if before:
        make(tmp_path / 'task', before)
    (tmp_path / 'task').mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(moment, patch)
        try:
            make(tmp_path / 'task', NEW)
        except Killed:
            assert not is_finished(tmp_path / 'task', NEW)
    # Who asks for the old ones again gets them; then the new ones.
    for manifest in [OLD, NEW] if moment % 2 else [NEW]:
        make(tmp_path / 'task', manifest)
        assert is_finished(tmp_path / 'task', manifest)
        clips = [path.read_text() for path in (tmp_path / 'task').rglob('*.mp4')]
        assert clips == [str(manifest)] * 2
        assert not list((tmp_path / 'task').rglob('*.part'))


@pytest.mark.parametrize('content', ['{"seed": 0, "comp', '[]', 'null'])
def test_manifest_of_someone_else(content: str, tmp_path: Path) -> None:
    (tmp_path / 'manifest.json').write_text(content)
    with pytest.raises(ValueError, match=r'manifest\.json is no manifest of Moving Shapes'):
        is_finished(tmp_path, NEW)


def test_clips_without_a_manifest_are_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / 'train').mkdir()
    (tmp_path / 'train/000000.mp4').touch()
    with pytest.raises(ValueError, match=r'not Moving Shapes .train/000000.mp4, and no manifest'):
        prepare_folder(tmp_path, NEW)
