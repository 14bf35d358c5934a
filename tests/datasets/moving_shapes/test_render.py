import filecmp
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from mmaction.datasets import VideoDataset, VideoTextDataset

from mmstan.datasets.moving_shapes import encode
from mmstan.datasets.moving_shapes.encode import encode_clip
from mmstan.datasets.moving_shapes.render import CLASS_NAMES, SIZES, TASKS, generate, plan_clips
from mmstan.datasets.moving_shapes.scenes import (
    ALL_EVENTS,
    MOTIONS,
    describe_event,
    draw_event,
    draw_scene,
    render,
)
from mmstan.datasets.readers import open_video

SEED = 5


def center(frame: np.ndarray) -> np.ndarray:
    """Position (down, right) of the colourful shape, from -1 to 1."""
    colorful = np.ptp(frame.astype(int), axis=-1) > 60
    return np.argwhere(colorful).mean(0) / (len(frame) / 2) - 1


def shown_motion(frames: np.ndarray) -> str:
    """The motion that an onlooker sees."""
    areas = [(np.ptp(frame.astype(int), axis=-1) > 60).sum() for frame in frames]
    path = np.stack([center(frame) for frame in frames])
    ratio = areas[-1] / areas[0]
    steps, way = np.diff(path, axis=0), path[-1] - path[0]
    straight = np.linalg.norm(way) / np.linalg.norm(steps, axis=1).sum()
    turns = steps[:-1, 1] * steps[1:, 0] - steps[:-1, 0] * steps[1:, 1]
    if max(ratio, 1 / ratio) > 2.5:
        return 'grow' if ratio > 1 else 'shrink'
    if straight < 0.9:
        return 'clockwise' if turns.mean() > 0 else 'anticlockwise'
    if abs(way[1]) > abs(way[0]):
        return 'right' if way[1] > 0 else 'left'
    return 'down' if way[0] > 0 else 'up'


@pytest.mark.parametrize('motion', range(8))
def test_an_onlooker_names_the_motion(motion: int) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        event = draw_event(rng, motion)._replace(shape='circle', color='red')
        scene = draw_scene(rng, event)
        reach = dict(center=(0.0, 0.0), drift=0.1)  # wholly inside the picture
        scene = type(scene)(**{**vars(scene), **reach})
        assert shown_motion(render(scene, motion, 16, 64)) == MOTIONS[motion]


@pytest.mark.parametrize('pair', range(4))
def test_second_motion_of_a_pair_is_the_first_backwards(pair: int) -> None:
    """Same draws, same frames in reverse: nothing but their order tells the two apart."""
    clips = []
    for motion in (2 * pair, 2 * pair + 1):
        rng = np.random.default_rng(SEED)
        clips.append(render(draw_scene(rng, draw_event(rng, motion)), motion, 16, 64))
    np.testing.assert_array_equal(clips[0], clips[1][::-1])
    assert (clips[0] != clips[1]).any()


def test_backwards_holds_after_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = plan_clips('recognition', 'tiny', 'train', 0)[0]
    frames = clip.render_frames()
    for name, order in (('a', 1), ('b', -1)):
        monkeypatch.setattr(type(clip), 'render_frames', lambda self, order=order: frames[::order])
        encode_clip(tmp_path, type(clip)(f'{name}.mp4', clip.seed, clip.events))
    with open_video(tmp_path / 'a.mp4') as a, open_video(tmp_path / 'b.mp4') as b:
        np.testing.assert_array_equal(a.read(range(16)), b.read(range(15, -1, -1)))
        assert np.abs(np.stack(a.read(range(16))).astype(int) - frames).mean() < 4


def test_classes_are_balanced_and_splits_share_no_clip() -> None:
    train, test = (plan_clips('recognition', 'small', split, 0) for split in ('train', 'test'))
    for clips in (train, test):
        counts = Counter(clip.events[0].motion for clip in clips)
        assert len(set(counts.values())) == 1 and len(counts) == len(CLASS_NAMES)
    assert not {clip.seed for clip in train} & {clip.seed for clip in test}
    scenes = [str(clip.draw_scenes()) for clip in train[:300] + test[:300]]
    assert len(set(scenes)) == len(scenes)


def test_recognition_reads_through_mmaction2(moving_shapes: Path) -> None:
    root = moving_shapes / 'recognition'
    assert (root / 'classes.txt').read_text().splitlines() == list(CLASS_NAMES)
    for split, number in zip(('train', 'test'), SIZES['tiny']['recognition']):
        dataset = VideoDataset(str(root / f'{split}.txt'), [], data_prefix=dict(video=str(root)))
        assert len(dataset) == number
        scenes = json.loads((root / f'{split}_scenes.json').read_text())
        for index, (filename, scene) in enumerate(scenes.items()):
            info = dataset.get_data_info(index)
            assert info['filename'] == str(root / filename)
            assert MOTIONS[info['label']] == scene[0]['motion']
    with open_video(info['filename']) as video:
        assert (video.num_frames, video.avg_fps) == (16, 8)


@pytest.mark.parametrize('task', ['retrieval', 'misaligned'])
def test_retrieval_reads_through_mmaction2(task: str, moving_shapes: Path) -> None:
    root = moving_shapes / task
    for split, captions in (('train', 3), ('test', 1)):
        dataset = VideoTextDataset(
            str(root / f'{split}.json'), [], data_prefix=dict(video=str(root))
        )
        assert len(dataset) == captions * SIZES['tiny'][task][split == 'test']
        assert all(Path(dataset.get_data_info(i)['filename']).is_file() for i in range(3))


@pytest.mark.parametrize('task', ['retrieval', 'misaligned'])
def test_each_test_caption_fits_one_video(task: str) -> None:
    clips = plan_clips(task, 'small', 'test', 0)
    told = [clip.events[clip.described] for clip in clips]
    assert len(set(told)) == len(clips)
    for clip in clips:
        assert told.count(clip.events[clip.described]) == 1
        others = set(clip.events) - {clip.events[clip.described]}
        assert not others & set(told)
        event = clip.events[clip.described]
        assert all(f'{event.color} {event.shape}' in caption for caption in clip.write_captions())


def test_misaligned_videos_show_two_thirds_else_and_captions_tell_what_is_not_there() -> None:
    for split in ('train', 'test'):
        clips = plan_clips('misaligned', 'small', split, 0)[:100]
        assert Counter(clip.described for clip in clips).keys() == {0, 1, 2}
        for clip in clips:
            assert len(set(clip.events)) == 3
            for caption in clip.write_captions():
                told = {event for event in ALL_EVENTS if describe_event(event) in caption}
                assert len(told - set(clip.events)) == 1
    frames = plan_clips('misaligned', 'tiny', 'train', 0)[0].render_frames()
    assert frames.shape == (48, 64, 64, 3)


# Python 3.12 and later warn of any fork beside tqdm's monitor thread.
@pytest.mark.filterwarnings('ignore:This process .* is multi-threaded:DeprecationWarning')
def test_other_processes_make_the_same_bytes(
    moving_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, '_CLIPS_PER_WORKER', 1)
    generate(tmp_path, size='tiny', workers=2)
    made = tmp_path / 'tiny'  # the shared folder may have lists of other tests too
    files = [path.relative_to(made) for path in made.rglob('[!.]*.*')]
    clips = sum(sum(numbers) for numbers in SIZES['tiny'].values())
    assert len(files) == clips + 6 + 5 + 5 + 8  # with the annotations of the four tasks
    _, different, unread = filecmp.cmpfiles(moving_shapes, made, files, shallow=False)
    assert not different and not unread


def test_finished_is_left_alone_and_interrupted_goes_on(tmp_path: Path) -> None:
    def make(seed: int) -> dict[Path, int]:
        generate(tmp_path, size='tiny', seed=seed, tasks=['retrieval'], workers=1)
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob('[!.]*.*')}

    before = make(seed=0)
    assert make(seed=0) == before
    folder = tmp_path / 'tiny/retrieval'
    manifest = json.loads((folder / 'manifest.json').read_text())
    (folder / 'manifest.json').write_text(json.dumps({**manifest, 'complete': False}))
    lost = folder / 'train/000003.mp4'
    lost.unlink()
    after = make(seed=0)
    assert after.keys() == before.keys()
    changed = {path for path in before if after[path] != before[path]}
    assert {path for path in changed if path.suffix == '.mp4'} == {lost}
    other = make(seed=1)
    assert other.keys() == before.keys()
    assert all(other[path] != after[path] for path in other)


def test_foreign_files_are_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / 'tiny/retrieval'
    folder.mkdir(parents=True)
    (folder / 'thesis.txt').touch()
    with pytest.raises(ValueError, match='holds files that are not Moving Shapes'):
        generate(tmp_path, size='tiny', tasks=['retrieval'], workers=1)
    assert (folder / 'thesis.txt').exists()


def test_unknown_size() -> None:
    with pytest.raises(ValueError, match="size='huge' must be one of"):
        generate(size='huge')  # type: ignore[arg-type]


def test_tasks_have_sizes() -> None:
    assert all(set(sizes) == set(TASKS) for sizes in SIZES.values())
