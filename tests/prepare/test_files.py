import os
from pathlib import Path

import pytest

from mmstan.prepare import files
from mmstan.prepare.files import Outputs, claim_folder


def test_one_command_at_a_time(tmp_path: Path) -> None:
    with claim_folder(tmp_path / 'mine'):
        second = claim_folder(tmp_path / 'mine')
        with pytest.raises(ValueError, match='another mmstan prepare is writing there'), second:
            pass
    with claim_folder(tmp_path / 'mine'):
        pass


def test_a_stop_between_two_files_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ('a.txt', 'b.txt', 'c.txt')
    Outputs(tmp_path, names).write({'a.txt': 'old a', 'b.txt': 'old b', 'c.txt': 'old c'})
    replace = os.replace

    def stopped(part: Path, path: Path) -> None:
        if path.name == 'b.txt':
            raise KeyboardInterrupt
        replace(part, path)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, 'replace', stopped)
        with pytest.raises(KeyboardInterrupt):
            Outputs(tmp_path, names).write({'a.txt': 'new a', 'b.txt': 'new b'})
    assert [(tmp_path / name).read_text() for name in names[:2]] == ['new a', 'old b']
    Outputs(tmp_path, names).write({'a.txt': 'new a', 'b.txt': 'new b'})
    assert (tmp_path / 'b.txt').read_text() == 'new b' and not (tmp_path / 'c.txt').exists()
    (tmp_path / 'c.txt').write_text('of somebody else')
    with pytest.raises(ValueError, match=r'c.txt is not as mmstan prepare wrote it'):
        Outputs(tmp_path, names)
