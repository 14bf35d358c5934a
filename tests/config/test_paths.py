"""Where results go, and where checkpoints come from."""

from pathlib import Path

import pytest
from helpers.shipped_configs import CONFIGS

from mmstan.config.paths import default_work_dir, is_checkpoint


def test_is_checkpoint(tmp_path: Path) -> None:
    (tmp_path / 'epoch_1.pth').touch()
    assert is_checkpoint(str(tmp_path / 'epoch_1.pth'))
    assert is_checkpoint('https://somewhere/epoch_1.pth')
    assert not is_checkpoint(str(tmp_path / 'epoch_2.pth'))


@pytest.mark.parametrize(
    ('path', 'work_dir'),
    [
        ('configs/stan/k400_b16.py', 'work_dirs/stan/k400_b16'),
        ('configs/baselines/clip_mean/ssv2_l14.py', 'work_dirs/baselines/clip_mean/ssv2_l14'),
        ('/home/me/configs/mmstan/configs/stan/k400_b16.py', 'work_dirs/stan/k400_b16'),
        ('./configs/quickstart/stan.py', 'work_dirs/quickstart/stan'),
        ('my/own/stan.v2.py', 'work_dirs/stan.v2'),
        ('stan.py', 'work_dirs/stan'),
    ],
)
@pytest.mark.parametrize('kind', [str, Path])
def test_default_work_dir(path: str, work_dir: str, kind: type) -> None:
    assert default_work_dir(kind(path)) == work_dir


def test_default_work_dirs_of_shipped_configs_differ() -> None:
    assert len({default_work_dir(path) for path in CONFIGS}) == len(CONFIGS) > 2
