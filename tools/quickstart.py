"""The main job on real video files, in minutes on two cores: ``python tools/quickstart.py``.

Renders Moving Shapes, trains CLIP mean pooling and STAN (same tower, data and epochs) with
``tools/train.py``, tests them with ``tools/test.py``, and leaves a table and a picture in
``work_dirs/quickstart``. Steps that are done are not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from mmengine.config import Config

import mmstan  # noqa: F401  (mends MMAction2 before anything of it is imported)
from mmstan.datasets.moving_shapes import CLASS_NAMES, generate
from mmstan.datasets.transforms import ReadFrames
from mmstan.visualization import Strip, confusion_matrix, recognition_report

ROOT = Path(os.path.relpath(Path(__file__).parent.parent))
CONFIGS = ROOT / 'configs' / 'quickstart'
OUT = Path('work_dirs/quickstart')
SYSTEMS = {'CLIP mean': 'clip_mean', 'STAN': 'stan'}
_TRAINED = re.compile(r'Epoch\(train\) *\[(\d+)\]\[ *(\d+)/(\d+)\].* eta: (\S+).* loss: (\S+)')
_TESTED = re.compile(r'Epoch\((?:val|test)\).*acc/top1: (\S+)')


def progress(line: str) -> str | None:
    """What to show of a line of the log, if anything."""
    if match := _TRAINED.search(line):
        epoch, step, steps, eta, loss = match.groups()
        return f'epoch {epoch}, step {step:>3} of {steps}: loss {loss}, {eta} to go'
    if match := _TESTED.search(line):
        return f'on the test videos: {100 * float(match[1]):.1f} % top-1'
    return None


def run(tool: str, *args: str) -> None:
    """Run ``tools/TOOL`` and show its progress; the whole log's end if it fails."""
    command = [sys.executable, str(ROOT / 'tools' / tool), *args]
    print('$ python', ' '.join(command[1:]), flush=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if shown := progress(line):
            print('   ', shown, flush=True)
    if process.wait():
        raise SystemExit(''.join(lines[-40:]) + f'\n{" ".join(command)} failed')


def train_and_test(config: Path, work_dir: Path, *options: str) -> dict[str, float]:
    """Train (with ``options``) and test a config; its figures, kept in ``result.json``."""
    result = work_dir / 'result.json'
    what = fingerprint(config, *options)
    made_from = work_dir / 'made_from.txt'
    if not made_from.exists() or made_from.read_text() != what:
        shutil.rmtree(work_dir, ignore_errors=True)
        work_dir.mkdir(parents=True)
        made_from.write_text(what)
    if not result.exists():
        start = time.time()
        run('train.py', str(config), '--work-dir', str(work_dir), '--resume', *options)
        seconds = time.time() - start
        checkpoint = (work_dir / 'last_checkpoint').read_text().strip()
        checkpoint = os.path.relpath(checkpoint)
        dump = work_dir / 'predictions.pkl'
        where = ['--work-dir', str(work_dir), '--dump', str(dump)]
        run('test.py', str(config), checkpoint, *where)
        truth, predicted = predictions(work_dir)
        figures = {
            'top-1': float(np.mean(truth == predicted)),
            'pair': float(np.mean(truth // 2 == predicted // 2)),
            'seconds': seconds,
        }
        result.write_text(json.dumps(figures, indent=1) + '\n')
    return json.loads(result.read_text())


def fingerprint(config: Path, *options: str) -> str:
    """Everything that a result depends on, but the code: the config, its options, the data."""
    cfg = Config.fromfile(config)
    manifest = Path(cfg.data_root, 'manifest.json').read_text()
    return '\n'.join([cfg.pretty_text, ' '.join(options), manifest])


def predictions(work_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted classes of the test videos, in the annotation file's order."""
    with (work_dir / 'predictions.pkl').open('rb') as file:
        samples = pickle.load(file)
    truth = np.array([int(sample['gt_label']) for sample in samples])
    return truth, np.array([int(sample['pred_label']) for sample in samples])


def picture(path: Path) -> None:
    """One video of each class, and the confusion matrices."""
    results = {name: predictions(OUT / stem) for name, stem in SYSTEMS.items()}
    dataset = Config.fromfile(CONFIGS / 'clip_mean.py').test_dataloader.dataset
    files = [line.split()[0] for line in Path(dataset.ann_file).read_text().splitlines()]
    read = ReadFrames(dataset.pipeline[0]['sampler'], backend='pyav')
    truth = next(iter(results.values()))[0]
    strips = []
    for label, name in enumerate(CLASS_NAMES):
        index = int(np.flatnonzero(truth == label)[0])
        video = Path(dataset.data_prefix.video, files[index])
        frames = np.stack(read({'filename': str(video)})['imgs'])
        said = {model: CLASS_NAMES[results[model][1][index]] for model in results}
        strips.append(Strip(frames, name, said))
    matrices = {
        model: confusion_matrix(*pair, classes=len(CLASS_NAMES)) for model, pair in results.items()
    }
    recognition_report(path, strips, matrices, CLASS_NAMES)


def main() -> None:
    """Render, train, test, show."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    generate(size='small', tasks=['recognition'])
    figures = {
        name: train_and_test(CONFIGS / f'{stem}.py', OUT / stem) for name, stem in SYSTEMS.items()
    }
    picture(OUT / 'recognition.png')
    rows = [f'{"":12}{"top-1":>8}{"motion without direction":>28}{"training":>12}']
    for name, row in figures.items():
        shares = f'{100 * row["top-1"]:>7.1f}%{100 * row["pair"]:>27.1f}%'
        rows.append(f'{name:12}{shares}{row["seconds"]:>10.0f} s')
    table = '\n'.join(rows)
    (OUT / 'table.txt').write_text(table + '\n')
    print(f'\nMoving Shapes: eight classes, four motions and the same played backwards\n{table}')
    print(f'\nPicture: {OUT / "recognition.png"}')


if __name__ == '__main__':
    main()
