"""docs/detection.md, from a folder of videos and a csv to a drawn film, on a few videos."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from helpers.scripts import PROJECT, script
from mmengine.config import Config

from mmstan.datasets.label_maps import read_label_map
from mmstan.datasets.readers import open_video

PAGE = (PROJECT / 'docs/detection.md').read_text('utf-8')


def write_data(source: Path, folder: Path) -> None:
    """Write Moving Shapes as the page wants it: one folder of videos, one file of persons."""
    (folder / 'videos').mkdir(parents=True)
    persons = ''
    for split in ('train', 'test'):
        for video in (source / split).glob('*.mp4'):
            shutil.copy(video, folder / f'videos/{split}_{video.name}')
        lines = (source / f'{split}.csv').read_text().splitlines(keepends=True)
        (folder / f'{split}.csv').write_text(''.join(f'{split}_{line}' for line in lines))
        lines = (source / f'{split}_proposals.csv').read_text().splitlines(keepends=True)
        persons += ''.join(f'{split}_{line}' for line in lines)
    (folder / 'persons.csv').write_text(persons)
    names = read_label_map('', str(source / 'labels.pbtxt'))
    (folder / 'labels.txt').write_text(''.join(f'{i}: {name}\n' for i, name in names.items()))


def write_config(path: Path) -> None:
    """Write the page's config, on a small model that trains for an epoch."""
    code = next(c for c in re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL) if 'files' in c)
    small = f"'{PROJECT}/configs/quickstart/detection_stan.py'"
    assert "'configs/stan/ava_b16.py'" in code
    path.write_text(code.replace("'configs/stan/ava_b16.py'", small))
    cfg = Config.fromfile(path)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    cfg.train_dataloader.batch_size = 4
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
    for metric in (cfg.val_evaluator, cfg.test_evaluator):
        metric.groups = None
    cfg.dump(path)


def test_the_page_from_beginning_to_end(
    moving_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_data(moving_shapes / 'detection', Path('data/mine'))
    write_config(Path('my_actions.py'))
    shutil.copy('data/mine/videos/test_000000.mp4', 'film.mp4')
    Path('boxes.csv').write_text('film,1,0.1,0.1,0.4,0.4,0.95\nfilm,3,0.5,0.5,1,1,0.97\n')
    marked = re.search(r'<!-- not run: tests/integration.*?-->\n```bash\n(.*?)```', PAGE, re.DOTALL)
    commands = [shlex.split(line, comments=True) for line in marked[1].splitlines()]
    assert [command[1] for command in commands] == [
        'tools/detect.py', 'tools/train.py', 'tools/test.py', 'tools/detect.py'
    ]  # fmt: skip
    for number, (_, name, *arguments) in enumerate(commands):
        arguments = [word.replace('epoch_20', 'epoch_1') for word in arguments]
        if number in (1, 2):  # MMEngine names its message hub by the second
            arguments += ['--cfg-options', f'experiment_name=page_{number}']
        monkeypatch.setattr(sys, 'argv', [name, *arguments])
        script(Path(name).stem).main()
    log = ''.join(path.read_text() for path in sorted(Path('work_dirs').glob('*/*/*.log')))
    assert len(re.findall(r'Epoch\((?:val|test)\).*detection/mAP: 0\.\d+', log)) == 2
    assert log.count('mAP is the mean of 12 classes') == 2
    pictures = Path('work_dirs/detect')
    assert {p.name for p in pictures.iterdir()} == {
        'my_actions_train.png', 'film.mp4', 'film.png', 'film.csv'
    }  # fmt: skip
    with open_video(pictures / 'film.mp4') as film:
        assert film.num_frames == 48
    assert not any(name.split('.')[0] == 'mmdet' for name in sys.modules)
