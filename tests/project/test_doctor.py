from pathlib import Path
from types import SimpleNamespace

import pytest

from mmstan import doctor

GOOD = dict(torch='2.6.0', numpy='1.26.4', setuptools='80.9.0', decord='0.6.0')


@pytest.mark.parametrize(
    ('changes', 'level', 'words'),
    [
        (dict(mmcv='2.1.0', **{'mmcv-lite': '2.1.0'}), 'broken', 'both installed'),
        (dict(setuptools='82.0.0'), 'note', 'pkg_resources'),
        (dict(numpy='2.4.6'), 'note', 'ImgAug'),
        (dict(decord=None), 'note', 'DecordInit'),
    ],
)
def test_known_bad_pairs_are_found(changes: dict[str, str], level: str, words: str) -> None:
    versions = {name: text for name, text in {**GOOD, **changes}.items() if text is not None}
    (finding,) = doctor.known_bad(versions)
    assert finding.level == level and words in finding.text


def test_good_pairs_are_not_reported() -> None:
    assert doctor.known_bad(GOOD) == []
    assert doctor.known_bad({**GOOD, 'mmcv-lite': '2.1.0'}) == []


@pytest.mark.parametrize(
    ('requirement', 'says'),
    [
        ('torch>=2.6', None),
        ('torch>=99', 'found: 2.'),
        ('no-such-package>=1', 'found: not installed'),
        ('no-such-package; extra == "test"', None),
        ('no-such-package; sys_platform == "none"', None),
    ],
)
def test_unmet_requirements_are_broken(requirement: str, says: str | None) -> None:
    findings = list(doctor.unmet('mmstan', [requirement]))
    assert len(findings) == (says is not None)
    assert all(says in f.text and f.level == 'broken' for f in findings)


def test_a_distribution_that_is_not_installed_is_a_note() -> None:
    (finding,) = doctor.unmet('no-such-package')
    assert finding.level == 'note'


def test_a_mismatched_torchvision_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(doctor.operators()) == []

    def missing(*args: object) -> None:
        raise RuntimeError('operator torchvision::nms does not exist')

    monkeypatch.setattr('torchvision.ops.nms', missing)
    (finding,) = doctor.operators()
    assert finding.level == 'broken' and 'torchvision::nms' in finding.text


def test_a_small_shared_memory_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = SimpleNamespace(total=64e6, free=60e6)
    monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda path: sizes)
    rows, (finding,) = doctor.measure_shared_memory()
    assert rows == {'/dev/shm': '0.1 GB, 0.1 GB free'}
    assert finding.level == 'note' and '64 MB' in finding.text and '--shm-size' in finding.text
    sizes.total = sizes.free = 8e9
    assert doctor.measure_shared_memory() == ({'/dev/shm': '8.0 GB, 8.0 GB free'}, [])
    monkeypatch.undo()
    assert doctor.measure_shared_memory(str(tmp_path / 'no'))[1] == []


def test_report_and_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, 'known_bad', lambda versions: [])
    assert doctor.main() == 0
    report = capsys.readouterr().out
    assert 'load_checkpoints_of_runner' in report and 'pyav' in report
    assert all(name in report for name in ('torch', 'mmengine', 'mmaction2', 'numpy'))

    both = doctor.Finding('broken', 'mmcv and mmcv-lite are both installed')
    monkeypatch.setattr(doctor, 'known_bad', lambda versions: [both])
    assert doctor.main() == 1
    assert both.text in capsys.readouterr().out


@pytest.mark.parametrize(('reader', 'broken'), [('pyav', 1), ('decord', 0), ('torchcodec', 0)])
def test_only_pyav_has_to_work(monkeypatch: pytest.MonkeyPatch, reader: str, broken: int) -> None:
    monkeypatch.setattr(
        'mmstan.datasets.readers.reader_problem',
        lambda name: 'no frames' if name == reader else None,
    )
    states, findings = doctor.decoders()
    assert states[reader] == 'no frames' and len(findings) == broken
