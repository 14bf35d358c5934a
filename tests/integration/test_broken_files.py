"""Real files that are broken, in runs of MMEngine's Runner."""

from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_runs import stock_config
from helpers.videos import numbered_frames, write_video
from mmengine.runner import Runner

WHOLE = 30
BROKEN = ('cut.mp4', 'empty.mp4', 'text.mp4', 'missing.mp4')


@pytest.fixture(scope='module')
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of videos, four of them broken, and ``list.txt``."""
    folder = tmp_path_factory.mktemp('videos')
    whole = write_video(folder / '0.mp4', numbered_frames(6)).read_bytes()
    for number in range(1, WHOLE):
        (folder / f'{number}.mp4').write_bytes(whole)
    (folder / 'cut.mp4').write_bytes(whole[: len(whole) // 2])
    (folder / 'empty.mp4').touch()
    (folder / 'text.mp4').write_text('not a video\n' * 100)
    names = [*(f'{number}.mp4' for number in range(WHOLE)), *BROKEN]
    lines = (f'{name} {index % 2}\n' for index, name in enumerate(names))
    (folder / 'list.txt').write_text(''.join(lines))
    return folder


def runner(videos: Path, work_dir: Path, **changes: Any) -> Runner:
    """A stock recognizer on the folder's videos; ``skip_broken`` is the test data set's."""
    skip_broken = changes.pop('skip_broken', False)
    pipeline = [
        dict(type='mmstan.ReadFrames', sampler=dict(type='mmstan.SampleSegments', num_frames=4)),
        dict(type='Resize', scale=(32, 32), keep_ratio=False),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs'),
    ]
    data = dict(
        type='mmstan.VideoDataset',
        ann_file=str(videos / 'list.txt'),
        data_prefix=dict(video=str(videos)),
        pipeline=pipeline,
    )
    test_data = dict(data, test_mode=True, skip_broken=skip_broken)
    metric = dict(type='mmstan.AccMetric', metric_options=dict(top_k_accuracy=dict(topk=(1,))))
    changes = {
        'train_dataloader.dataset': data,
        'test_dataloader.dataset': test_data,
        'test_evaluator': metric,
        'train_cfg': dict(type='mmstan.EpochTrainLoop', max_epochs=1),
        'val_cfg': None,
        'val_dataloader': None,
        'val_evaluator': None,
        **changes,
    }
    cfg = stock_config(work_dir, **changes)
    cfg.default_hooks.checkpoint.pop('save_best')
    return Runner.from_cfg(cfg)


def log_of(work_dir: Path) -> str:
    return ''.join(file.read_text() for file in work_dir.glob('*/*.log'))


def test_training_replaces_counts_and_names_them(videos: Path, work_dir: Path) -> None:
    run = runner(videos, work_dir, custom_hooks=[dict(type='mmstan.BrokenVideos')])
    run.train()
    assert run.iter == (WHOLE + len(BROKEN)) / 2
    log = log_of(work_dir)
    for name in BROKEN:
        assert log.count(f'broken video, replaced by another: {videos / name}: ') == 1
    assert 'epoch 1: 4 broken videos were replaced' in log


def test_too_many_stop_training(videos: Path, work_dir: Path) -> None:
    hook = dict(type='mmstan.BrokenVideos', max_count=3)
    with pytest.raises(RuntimeError, match=r'4 of 34 videos are broken') as error:
        runner(videos, work_dir, custom_hooks=[hook]).train()
    assert all(str(videos / name) in str(error.value) for name in BROKEN)


def test_testing_stops_with_the_first_ones_name(videos: Path, work_dir: Path) -> None:
    with pytest.raises(RuntimeError, match=r'cut\.mp4: cannot be opened'):
        runner(videos, work_dir).test()


def test_testing_leaves_them_out_if_asked_to(videos: Path, work_dir: Path) -> None:
    metrics = runner(videos, work_dir, skip_broken=True).test()
    assert metrics['acc/left_out'] == len(BROKEN)
    assert metrics['acc/top1'] == pytest.approx(0.5)  # equal videos, both labels in turn
    log = log_of(work_dir)
    assert f'the accuracies leave out 4 of {WHOLE + len(BROKEN)} videos' in log
    assert all(str(videos / name) in log for name in BROKEN)
