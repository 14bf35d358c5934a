"""Options of ``tools/detect.py`` that are refused, before anything is read."""

from pathlib import Path

import pytest
from helpers.scripts import script

from mmstan.datasets.label_maps import read_action_names


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--data', 'a.py', '--number', '0'], 'argument --number: 0 is less than 1'),
        (['a.mp4', '--person-score', '90'], 'argument --person-score: 90 is not between 0 and 1'),
        (['a.mp4', '--action-score', '-1'], 'argument --action-score: -1 is not between 0 and 1'),
        (['a.mp4', '--action-score', 'nan'], 'argument --action-score: nan is not between 0 and 1'),
        (['a.mp4', '--boxes', 'a.csv', '--every', '2'], '--every is for --persons'),
        (['--data', 'a.py', '--every', '0'], '--every is for --persons'),
    ],
)
def test_options_that_cannot_be(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = tmp_path / 'a.pth'
    checkpoint.touch()
    positional = [] if '--data' in options else ['config.py', str(checkpoint)]
    monkeypatch.setattr('sys.argv', ['detect.py', *positional, *options])
    with pytest.raises(SystemExit):
        script('detect').parse_args()
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('lines', ['', 'train_dataloader = None'])
def test_splits_that_a_config_does_not_have(
    lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'a.py').write_text(lines)
    monkeypatch.setattr('sys.argv', ['detect.py', '--data', f'{tmp_path}/a.py', '--split', 'train'])
    with pytest.raises(SystemExit, match=r'^error: .*a\.py: no train_dataloader; give another --'):
        script('detect').main()


def test_a_missing_label_map_is_of_any_split() -> None:
    with pytest.raises(ValueError, match=r'the data set has no label_file, .*SPLIT_dataloader'):
        read_action_names(dict(type='mmstan.AVADataset'))


def test_two_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = tmp_path / 'a.pth'
    checkpoint.touch()
    positional = ['config.py', str(checkpoint), 'a.mp4', '--boxes', 'a.csv']
    monkeypatch.setattr('sys.argv', ['detect.py', *positional, '--cfg-options', 'load_from=b.pth'])
    with pytest.raises(SystemExit, match=r'a\.pth and .* load_from=b\.pth name two checkpoints'):
        script('detect').main()
