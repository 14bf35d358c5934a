"""``visualize_features.py cam``: where a model looks."""

import itertools
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.scored_models import build
from helpers.scripts import script
from helpers.tiny_models import IMAGE, WORDS, reference
from helpers.tiny_runs import stock_config
from mmengine.config import Config

from mmstan.apis import cam_pictures
from mmstan.apis.cam_clips import cut_padding, find_videos, prepare_clip, read_videos
from mmstan.apis.cam_gains import format_gains, measure_gains
from mmstan.apis.cam_pictures import (
    Question,
    View,
    build_twin,
    check_question,
    find_maps,
    show_maps,
)
from mmstan.apis.layer_pictures import load_model_of_layers
from mmstan.chat.generation import seeded
from mmstan.datasets.moving_shapes import CLASS_NAMES
from mmstan.visualization import (
    Maps,
    class_rank,
    class_score,
    compute_frame_shares,
    find_layer,
)

FRAMES = 4
_run = itertools.count()


@pytest.fixture(scope='module')
def configs(moving_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny STAN for recognition and one for retrieval, with Mug, on the tiny Moving Shapes."""
    folder = tmp_path_factory.mktemp('cam')
    sizes = dict(WORDS, vision_cfg=IMAGE)
    torch.manual_seed(0)
    torch.save(reference(sizes).state_dict(), folder / 'clip.pt')
    tower = dict(model=sizes, pretrained=str(folder / 'clip.pt'))
    backbone = dict(
        type='mmstan.STAN', levels=(3, 4), tower=dict(type='mmstan.ImageTower', **tower)
    )
    text_tower = dict(type='mmstan.TextTower', **tower)
    found = {}
    for task, head in (
        ('recognition', dict(type='mmstan.TextHead', class_names=list(CLASS_NAMES))),
        ('retrieval', dict(type='mmstan.RetrievalHead')),
    ):
        data, cfg = moving_shapes / task, stock_config(folder / task)
        model = dict(backbone=backbone, data_preprocessor=cfg.model.data_preprocessor)
        sampler = dict(type='mmstan.SampleSegments', num_frames=FRAMES, test_mode=True)
        keys = dict(meta_keys=('img_shape', 'filename', 'video_id'))
        dataset = dict(data_prefix=dict(video=str(data)), test_mode=True)
        if task == 'recognition':
            sampler.update(num_clips=2)
            head.update(text_tower=text_tower)
            cfg.model = dict(
                model, type='Recognizer3D', neck=dict(type='mmstan.MeanPool'), cls_head=head
            )
            keys.update(meta_keys=('img_shape', 'filename'))
            dataset.update(type='mmstan.VideoDataset', ann_file=str(data / 'test.txt'))
        else:
            head.update(interaction=dict(type='mmstan.Mug', sharpness=9.0))
            cfg.model = dict(model, type='mmstan.VideoTextModel', text_tower=text_tower, head=head)
            keys.update(algorithm_keys=('captions', 'frame_mask'))
            dataset.update(type='mmstan.CaptionsJson', ann_file=str(data / 'test.json'))
            cfg.test_cfg = dict(type='mmstan.RetrievalTestLoop')
            cfg.test_evaluator = dict(type='mmstan.RetrievalMetric')
        dataset['pipeline'] = [
            dict(type='mmstan.ReadFrames', sampler=sampler),
            dict(type='Resize', scale=(32, 32), keep_ratio=False),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs', **keys),
        ]
        cfg.test_dataloader.dataset = dataset
        cfg.dump(folder / f'{task}.py')
        found[task] = folder / f'{task}.py'
    return found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    tool: Any = script('visualize_features')

    def run(*arguments: Any) -> None:
        # MMEngine names its message hub by the second, so that two runs would share one.
        name = f'experiment_name=cam_{next(_run)}'
        command = ['visualize_features.py', *map(str, arguments), '--cfg-options', name]
        monkeypatch.setattr(sys, 'argv', command)
        tool.main()

    return run


def load(path: Path, name: str) -> Any:
    cfg = Config.fromfile(path)
    cfg.load_from, cfg.experiment_name = None, name
    return cfg, load_model_of_layers(cfg, splits=('test',))


def read_table(text: str) -> list[list[str]]:
    rows = [line.strip('| ').split(' | ') for line in text.splitlines() if line.startswith('| ')]
    return rows[1:]


def test_videos_of_the_test_set_with_a_random_twin(
    run: Callable[..., None], configs: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    layers, methods = ['tower.4', 'time.2'], ['elementwise', 'attention']
    which = ['--index', 0, 3, '--label', 1, '--layer', *layers, '--method', *methods]
    out = ['--control', '--out', tmp_path / 'cam.png']
    run('cam', configs['recognition'], *which, *out, '--work-dir', tmp_path)
    found = capsys.readouterr().out
    assert '2 views of the video: the first is shown' in found
    assert 'gain of the random twin' in found
    table = read_table(found)
    maps = [[layer, method] for layer in layers[:1] for method in methods]
    rows = [*maps, ['time.2', 'who hears whom']]
    assert [row[:2] for row in table if row[0] != 'layer'] == [*rows, *rows]
    cfg, model = load(configs['recognition'], 'read')
    dataset = find_videos(cfg, [0, 3])
    for number, sample in enumerate(dataset, start=1):
        assert (tmp_path / f'cam_{number}.png').stat().st_size > 10000
        clip = prepare_clip(model, sample)
        score = class_score(model, clip.inputs, labels=[1]).item()
        (rank,) = class_rank(model, clip.inputs, [1])
        assert f'{clip.name}: moving right, score {score:.4f}, rank {rank}\n' in found
    # Shares of frames sum to 1, rows of the matrix, too.
    for row in table:
        if row[0] != 'layer':
            for line in row[3].split(';'):
                assert sum(map(float, line.split())) == pytest.approx(1, abs=0.03)
    # Untrained, model and twin have the same weights but for the branch's random ones.
    gains = [row[4:] for row in table if row[0] == 'tower.4' and row[1] == 'attention']
    assert all(own == twin for own, twin in gains)


def test_a_file_a_text_and_another_text(
    run: Callable[..., None],
    configs: dict[str, Path],
    moving_shapes: Path,
    tmp_path: Path,
    capsys: Any,
) -> None:
    """The data of the config need not be there; the main layers are drawn."""
    cfg = Config.fromfile(configs['retrieval'])
    cfg.test_dataloader.dataset.ann_file = 'nowhere.json'
    cfg.dump(tmp_path / 'no_data.py')
    video = moving_shapes / 'retrieval/test/000001.mp4'
    texts = ['--text', 'a red ball', '--against', 'a green ring']
    run('cam', tmp_path / 'no_data.py', '--video', video, *texts, '--work-dir', tmp_path)
    found = capsys.readouterr().out
    assert found.endswith(f'Picture: {tmp_path}/cam.png\n')
    assert (tmp_path / 'cam.png').stat().st_size > 10000
    assert [row[0] for row in read_table(found)] == ['branch.1', 'branch.2', 'tower.4']
    _, model = load(configs['retrieval'], 'again')
    (sample,) = read_videos(cfg, [str(video)], 'a red ball')
    assert sample['data_samples'].captions == ['a red ball']
    clip = prepare_clip(model, sample)
    with torch.no_grad():
        texts = model.encode_texts(['a red ball', 'a green ring'])
        own, other = model.similarity(texts, model.encode_videos(clip.inputs))[:, 0].tolist()
    score = float(re.search(r'a red ball - a green ring, score (\S+)', found)[1])
    assert score == pytest.approx(own - other, abs=2e-4)


def test_a_text_finds_its_videos_first(
    run: Callable[..., None], configs: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    options = ['--layer', 'tower.4', '--method', 'attention', '--work-dir', tmp_path]
    run('cam', configs['retrieval'], '--top', 2, '--text', 'a red ball', *options)
    found = capsys.readouterr().out
    ranked = re.findall(r'(\d)\. (\S+)  (\S+)', found)
    titles = re.findall(r'(\S+): a red ball, score (\S+)', found)
    assert [rank for rank, *_ in ranked] == ['1', '2']
    assert all(path.endswith(name) for (path, _), (_, name, _) in zip(titles, ranked))
    assert [float(score) for _, score in titles] == pytest.approx(
        [float(score) for *_, score in ranked], abs=2e-4
    )
    assert sorted(path.name for path in tmp_path.glob('cam*.png')) == ['cam_1.png', 'cam_2.png']


def test_the_first_word(
    run: Callable[..., None], configs: dict[str, Path], tmp_path: Path, capsys: Any
) -> None:
    """Without one it is ``layers``, as all tests of the other command show."""
    options = [configs['recognition'], '--work-dir', tmp_path, '--videos', 1]
    run('layers', *options, '--patches', 8, '--index')
    assert (tmp_path / 'cka.png').stat().st_size > 5000
    for wrong, problem in (
        ([], 'visualize_features.py cam: error'),
        (['--top', 2], 'error: --top finds the videos of --text'),
        (['--index', 0, '--video', 'a.mp4'], 'not allowed with argument --index'),
        (['--index', 0, '--method', 'rollout'], "argument --method: invalid choice: 'rollout'"),
    ):
        with pytest.raises(SystemExit):
            run('cam', *options[:3], *wrong)
        assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ('task', 'options', 'problem'),
    [
        ('recognition', ['--index', 16, '--label', 0], r'^error: video 16 must be 0 to 15 '),
        (
            'recognition',
            ['--index', 0],
            r'^error: .*recognition\.py: give --text, or give --la',
        ),
        (
            'recognition',
            ['--index', 0, '--label', 8],
            r'^error: --label: 8 given; give --label 0 to 7 \(moving left, ',
        ),
        (
            'recognition',
            ['--top', 2, '--text', 'x'],
            r'^error: .*Recognizer3D has no similarity of texts and videos; take a config whose',
        ),
        (
            'recognition',
            ['--video', 'nowhere.mp4', '--label', 0],
            r'^error: .*nowhere\.mp4.*',
        ),
        (
            'retrieval',
            ['--index', 0, '--text', 'x', '--layer', 'branch.9'],
            r'^error: --layer branch\.9: STAN has tower\.1, ',
        ),
    ],
)
def test_wrong_settings(
    task: str,
    options: list[Any],
    problem: str,
    run: Callable[..., None],
    configs: dict[str, Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(SystemExit, match=problem):
        run('cam', configs[task], *options, '--work-dir', tmp_path)


@pytest.mark.parametrize(
    ('name', 'question', 'problem'),
    [
        ('clip, retrieval', Question(), 'a.py: give --text, the text whose score is explained'),
        (
            'clip, retrieval',
            Question('x', labels=[3]),
            '--label 3: a.py is of retrieval, which has no classes; give --text',
        ),
        (
            'clip, recognition',
            Question(),
            'a.py: give --text, or give --label 0 to 2 (moving left, moving right, growing)',
        ),
        (
            'clip, recognition',
            Question('growing', labels=[1]),
            "--text 'growing' with --label 1, whose text is 'moving right': give one of them",
        ),
        (
            'evl, linear head',
            Question('growing', labels=[1]),
            "--text 'growing' with --label 1: TimeSformerHead reads no texts",
        ),
    ],
)
def test_questions_without_an_answer(name: str, question: Question, problem: str) -> None:
    with pytest.raises(ValueError) as error:
        check_question(build(name), question, 'a.py')
    assert str(error.value) == problem


def test_questions_with_an_answer() -> None:
    for question in (Question('x'), Question('growing', labels=[2]), Question(labels=[0])):
        check_question(build('clip, recognition'), question, 'a.py')
    check_question(build('evl, linear head'), Question(labels=[0]), 'a.py')
    with pytest.raises(ValueError, match=r'^a\.py: SimpleNamespace scores no texts or classes; t'):
        check_question(SimpleNamespace(), Question('x'), 'a.py')


def test_the_twin_is_the_same_every_time(configs: dict[str, Path]) -> None:
    """Its branch is random, its tower has the pretrained weights; the generator is left alone."""
    cfg, model = load(configs['recognition'], 'twin')
    twins = []
    for seed in (5, 6):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        twins.append(build_twin(cfg).state_dict())
        assert torch.get_rng_state().equal(state)
    assert all(value.equal(twins[1][key]) for key, value in twins[0].items())
    tower = 'backbone.tower.visual.proj'
    assert twins[0][tower].equal(model.state_dict()[tower])


def test_the_random_streams_of_all_gpus_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are named: where there are several and none is named, PyTorch warns on ten lines."""
    forked: list[list[int]] = []

    def fork(devices: Any = None) -> Any:
        forked.append(list(devices))
        return nullcontext()

    monkeypatch.setattr(torch.random, 'fork_rng', fork)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    build_twin(Config(dict(model=dict(type='mmstan.MeanPool'))))
    with seeded(3):
        pass
    assert forked == [[0, 1]] * 2


def test_a_map_of_zeros_is_reported(
    configs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, model = load(configs['recognition'], 'zeros')
    (sample,) = find_videos(cfg, [0])
    empty = Maps(1.0, {'gradcam': torch.zeros(FRAMES, 4, 4)})
    monkeypatch.setattr(cam_pictures, 'compute_maps', lambda *_: empty)
    said: list[str] = []
    monkeypatch.setattr(cam_pictures, 'print_log', lambda text, *_: said.append(text))
    view = View(layers=['tower.4'])
    show_maps(model, sample, Question(labels=[0]), view, tmp_path / 'cam.png')
    assert said == [
        'layer tower.4, gradcam: the map is zero everywhere, since all its values are negative '
        'and cut off; --method attention, which blocks have, cuts nothing off'
    ]
    assert compute_frame_shares(empty.maps['gradcam']).sum() == 0


def test_gains_over_videos(
    configs: dict[str, Path], moving_shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mean share on the shapes over the mean share of the shapes; white ones have no mask."""
    cfg, model = load(configs['recognition'], 'gains')
    cfg.experiment_name = 'gains again'
    gains = measure_gains(cfg, videos=3, methods=['attention'])
    assert {layer for layer, _ in gains} == set(model.backbone.named_layers())
    shares, covered = [], []
    for sample in find_videos(cfg, range(3)):
        clip, label = prepare_clip(model, sample), int(sample['data_samples'].gt_label)
        if clip.shape is None:
            continue
        layer = find_layer(model.backbone, 'tower.3')
        found = find_maps(model, clip, Question(labels=[label]), [layer], ['attention'])
        of = found['tower.3', 'attention'][1]
        shares.append(float((of * clip.shape).sum() / of.sum()))
        covered.append(float(clip.shape.mean()))
    assert shares
    own, twin = gains['tower.3', 'attention']
    assert own == pytest.approx(sum(shares) / sum(covered)) and own == pytest.approx(twin)
    assert f'| tower.3 | {own:.2f} ({twin:.2f}) |' in format_gains(gains)
    monkeypatch.setattr('mmstan.apis.cam_clips.is_of_moving_shapes', lambda name: False)
    cfg.experiment_name = 'no gains'
    with pytest.raises(ValueError, match=r': none of 1 videos is one of Moving Shapes with'):
        measure_gains(cfg, videos=1, methods=['attention'])


@pytest.mark.parametrize('name', ['dist, recognition', 'clip, retrieval'])
def test_models_without_gains(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for builder in ('load_model_of_layers', 'build_twin'):
        monkeypatch.setattr(f'mmstan.apis.cam_gains.{builder}', lambda cfg, **_: build(name))
    cfg: Any = SimpleNamespace(filename='a.py')
    with pytest.raises(ValueError, match=r'^a\.py: \w+ of \w+ has no classes, or no block with g'):
        measure_gains(cfg, videos=1, methods=['attention'])


def test_padding_is_cut_away() -> None:
    maps, real = torch.rand(4, 2, 2), torch.tensor([True, True, False, False])
    assert cut_padding(maps, None) is maps
    assert cut_padding(maps, real).equal(maps[:2])
    assert cut_padding(maps[::2], real).equal(maps[:1])
