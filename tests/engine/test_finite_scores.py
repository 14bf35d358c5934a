"""NaN scores and the metrics of MMAction2, which do not see them."""

from pathlib import Path

import pytest
import torch
from helpers.tiny_runs import stock_config

from mmstan.apis.load import build_runner


def test_a_stock_metric_of_nan_is_refused(work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = build_runner(stock_config(work_dir))
    runner.load_or_resume()
    with torch.no_grad():
        runner.model.cls_head.fc_cls.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match=r'^the scores of 4 of 4 videos are NaN or infinite'):
        runner.test()
    log = ''.join(file.read_text() for file in work_dir.glob('*/*.log'))
    assert 'acc/top1' not in log


def test_a_stock_metric_of_numbers(work_dir: Path) -> None:
    assert 0 <= build_runner(stock_config(work_dir)).test()['acc/top1'] <= 1


def test_a_best_checkpoint_is_not_of_nan(work_dir: Path) -> None:
    runner = build_runner(stock_config(work_dir, **{'train_cfg.type': 'mmstan.EpochTrainLoop'}))
    predict = runner.model.predict

    def predict_nan(*args, **kwargs):
        samples = predict(*args, **kwargs)
        samples[0].pred_score.fill_(torch.nan)
        return samples

    runner.model.predict = predict_nan
    with pytest.raises(ValueError, match=r'the scores of \d of 4 videos are NaN'):
        runner.train()
    assert not list(work_dir.glob('best*'))
