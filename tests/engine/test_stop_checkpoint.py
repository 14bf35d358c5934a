"""The checkpoint of a stop replaces the one of an earlier stop."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mmengine.runner import Runner

from mmstan.engine.stop_checkpoint import save_stop_checkpoint


@pytest.mark.parametrize('is_folder', [False, True])
def test_an_earlier_one_is_removed_whether_file_or_folder(is_folder: bool, tmp_path: Path) -> None:
    def save(folder: str, name: str, **kwargs: Any) -> None:
        path = Path(folder, name)
        if is_folder:
            path.mkdir()
            path = path / 'part'
        path.write_text(str(kwargs['meta']))

    runner = SimpleNamespace(hooks=[], work_dir=str(tmp_path), save_checkpoint=save)
    regular = tmp_path / 'iter_3.pth'
    regular.touch()
    for iteration in (3, 5):
        path = save_stop_checkpoint(cast(Runner, runner), epoch=1, iteration=iteration)
        assert path == str(tmp_path / f'stopped_at_iter_{iteration}.pth')
        assert [*map(str, tmp_path.glob('stopped*'))] == [path]
        assert (tmp_path / 'last_checkpoint').read_text() == path
    assert regular.exists()
