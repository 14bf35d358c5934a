"""A trained model looks at the moving shape, and its random twin does not.

Needs the quickstart's STAN, which ``make quickstart`` trains; ``MMSTAN_QUICKSTART`` names another
folder of its runs than ``work_dirs/quickstart``.
"""

import os
from pathlib import Path

import pytest
from helpers.scripts import PROJECT
from mmengine.config import Config

from mmstan.apis.cam_gains import measure_gains

pytestmark = pytest.mark.slow
RUNS = Path(os.environ.get('MMSTAN_QUICKSTART') or PROJECT / 'work_dirs/quickstart')
CHECKPOINT = RUNS / 'stan/epoch_3.pth'


@pytest.mark.filterwarnings('ignore:Mean of empty slice:RuntimeWarning')
def test_attention_of_middle_layers_passes_the_control(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not CHECKPOINT.is_file():
        pytest.skip(f'there is no {CHECKPOINT}: make quickstart trains it in minutes')
    monkeypatch.chdir(PROJECT)  # the config's data are in data/
    cfg = Config.fromfile('configs/quickstart/stan.py')
    cfg.load_from, cfg.work_dir = str(CHECKPOINT), str(work_dir)
    gains = measure_gains(cfg, videos=100, methods=['attention'])
    for layer in ('branch.2', 'tower.3'):
        own, twin = gains[layer, 'attention']
        assert own > 2 and twin < 1.3
