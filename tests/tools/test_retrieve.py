import functools
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.scripts import script
from helpers.tiny_models import IMAGE, WORDS, reference
from helpers.tiny_runs import stock_config
from mmengine.config import Config

from mmstan.apis.retrieval_pictures import (
    match_captions,
    report_misalignment,
    show_found,
    show_pair,
)
from mmstan.apis.retrieval_wins import (
    STOP_WORDS,
    Duel,
    choose_words,
    compare_models,
    compute_sign_test,
    find_wins,
    format_counts,
    measure_drops,
    show_wins,
)
from mmstan.apis.test_set import TestSet, fingerprint
from mmstan.evaluation import MatrixBlocks, RetrievalMetric, text_to_video_ranks
from mmstan.evaluation.gallery import Gallery
from mmstan.methods.mug import Mug
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions import Cosine

FRAMES = 4


@pytest.fixture(scope='module')
def config_file(moving_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny STAN with Mug, on the tiny Moving Shapes."""
    folder = tmp_path_factory.mktemp('retrieve')
    data = moving_shapes / 'retrieval'
    weights, sizes = folder / 'clip.pt', dict(WORDS, vision_cfg=IMAGE)
    torch.manual_seed(0)
    torch.save(reference(sizes).state_dict(), weights)
    tower = dict(model=sizes, pretrained=str(weights))
    sampler = dict(type='mmstan.SampleSegments', num_frames=FRAMES, test_mode=True)
    pipeline = [
        dict(type='mmstan.ReadFrames', sampler=sampler),
        dict(type='Resize', scale=(32, 32), keep_ratio=False),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(
            type='PackActionInputs',
            meta_keys=('img_shape', 'filename', 'video_id'),
            algorithm_keys=('captions', 'frame_mask'),
        ),
    ]
    cfg = stock_config(folder / 'work_dir')
    cfg.model = dict(
        type='mmstan.VideoTextModel',
        backbone=dict(type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', **tower)),
        text_tower=dict(type='mmstan.TextTower', **tower),
        head=dict(type='mmstan.RetrievalHead', interaction=dict(type='mmstan.Mug', sharpness=9.0)),
        data_preprocessor=cfg.model.data_preprocessor,
    )
    cfg.test_dataloader.dataset = dict(
        type='mmstan.CaptionsJson',
        ann_file=str(data / 'test.json'),
        data_prefix=dict(video=str(data)),
        pipeline=pipeline,
        test_mode=True,
    )
    cfg.test_cfg = dict(type='mmstan.RetrievalTestLoop')
    cfg.test_evaluator = dict(type='mmstan.RetrievalMetric')
    cfg.dump(folder / 'retrieve.py')
    return folder / 'retrieve.py'


@pytest.fixture(scope='module')
def tool() -> Any:
    return script('retrieve')


@pytest.fixture(scope='module')
def data(tool: ModuleType, config_file: Path) -> Any:
    cfg = Config.fromfile(config_file)
    cfg.load_from, cfg.experiment_name = None, 'data'  # of no test's run in the same second
    return TestSet(cfg)


@pytest.fixture(scope='module')
def scores(data: Any) -> torch.Tensor:
    return data.model.similarity(data.gallery.text, data.gallery.video)


def printed(text: str) -> dict[int, float]:
    """Rank -> score of the videos that were printed."""
    return {int(rank): float(x) for rank, x in re.findall(r'(\d+)\. \S+  (-?[\d.]+)', text)}


@pytest.mark.parametrize('top', [1, 3])
def test_found_videos(
    top: int, data: Any, scores: torch.Tensor, tool: ModuleType, tmp_path: Path, capsys: Any
) -> None:
    ranks = text_to_video_ranks(MatrixBlocks(scores), data.gallery.owners)
    for index in (int(ranks.argmin()), int(ranks.argmax())):
        caption, video = data.caption(index)
        show_found(data, caption, video, top, tmp_path / 'found.png')
        found = capsys.readouterr().out
        best = scores[index].sort(descending=True).values
        shown = sorted({*range(1, top + 1), int(ranks[index])})
        expected = {rank: pytest.approx(float(best[rank - 1]), abs=1e-4) for rank in shown}
        assert printed(found) == expected
        assert f'{int(ranks[index])}. {data.names[video]}' in found
        assert found.count('ground truth') == 1
        assert (tmp_path / 'found.png').stat().st_size > 1000


def test_frames_are_those_the_model_sees(data: Any) -> None:
    frames = data.frames(5)
    assert frames.shape == (FRAMES, 32, 32, 3)
    assert data.frames(5, most=2).tolist() == frames[[0, -1]].tolist()
    clip = torch.from_numpy(frames).permute(3, 0, 1, 2)[None, None]
    sample = data.dataset[data.numbers[5]]['data_samples']
    (again,) = data.model.test_step(dict(inputs=[clip[0]], data_samples=[sample]))
    torch.testing.assert_close(again.video_features.frames, data.gallery.video.frames[5])


def test_frames_without_padding(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.tensor([True, True, False, False])
    sample = data.dataset[5]
    sample['data_samples'].set_field(real, 'frame_mask')
    monkeypatch.setattr(data, 'dataset', {data.numbers[5]: sample})
    clip = sample['inputs'][0].permute(1, 2, 3, 0)
    assert data.frames(5).tolist() == clip[:2].tolist()


def test_weights_of_a_pair(data: Any, tool: ModuleType, tmp_path: Path, capsys: Any) -> None:
    caption, video = data.caption(3)
    show_pair(data, 3, tmp_path / 'pair.png')
    title, frames, words = capsys.readouterr().out.splitlines()[-3:]
    assert caption in title and data.names[video] in title
    u = [float(x) for x in frames.split()[1:]]
    w = [float(pair.rsplit('=', 1)[1]) for pair in words.split()[1:]]
    assert len(u) == FRAMES and sum(u) == pytest.approx(1, abs=0.01)
    assert sum(w) == pytest.approx(1, abs=0.01)
    read = [pair.rsplit('=', 1)[0] for pair in words.split()[1:]]
    assert read[0] == '<start_of_text>' and read[-1] == '<end_of_text>'
    assert ' '.join(read[1:-1]) == caption
    assert (tmp_path / 'pair.png').stat().st_size > 1000


def test_misalignment(
    data: Any, scores: torch.Tensor, tool: ModuleType, tmp_path: Path, capsys: Any
) -> None:
    report_misalignment(data, tmp_path / 'misalignment.png')
    head, *table = capsys.readouterr().out.splitlines()
    recall = 100 * (scores.argmax(1) == data.gallery.owners).double().mean()
    assert head == f'16 captions, 16 videos, R@1 {recall:.1f}'
    assert table[2].startswith('| 0.000 (literally) | ')
    assert '(mean of mismatched pairs)' in table[3]
    assert (tmp_path / 'misalignment.png').stat().st_size > 1000


def test_levels_of_another_model(
    data: Any, run: Callable[..., None], config_file: Path, tmp_path: Path, capsys: Any
) -> None:
    """The levels are the other model's, R@1 is the model's own; captions may have another order."""
    cfg = Config.fromfile(config_file)
    listed = Path(cfg.test_dataloader.dataset.ann_file)
    shuffled = dict(reversed(json.loads(listed.read_text()).items()))
    (tmp_path / 'test.json').write_text(json.dumps(shuffled))
    cfg.test_dataloader.dataset.ann_file = str(tmp_path / 'test.json')
    cfg.experiment_name = cfg.work_dir = str(tmp_path / 'judge')
    cfg.dump(tmp_path / 'judge.py')
    state = {key: torch.randn_like(value) for key, value in data.model.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'judge.pth')
    judge = [tmp_path / 'judge.py', tmp_path / 'judge.pth']
    tables = {}
    for name, options in (
        ('own', [config_file]),
        ('judged', [config_file, '--levels-from', *judge]),
        ('judge', judge),
    ):
        named = ['--cfg-options', f'experiment_name={name}']  # runs of one second differ
        run(*options, '--misalignment', '--out', tmp_path / 'picture.png', *named)
        printed = capsys.readouterr().out.splitlines()
        tables[name] = [line for line in printed if line.startswith(('16 captions', '| '))]
    assert tables['judged'][0] == tables['own'][0]  # R@1
    cells = {name: table[-1].split('|')[2:] for name, table in tables.items()}
    shares = {name: [cell.split(',')[0] for cell in row] for name, row in cells.items()}
    assert shares['judged'] == shares['judge'] != shares['own']
    other = data.gallery.owners.flip(0)  # the captions of the reversed list
    assert match_captions(data, TestSet(read_judge_config(tmp_path))).equal(other)


def read_judge_config(folder: Path) -> Config:
    cfg = Config.fromfile(folder / 'judge.py')
    cfg.load_from, cfg.experiment_name = None, str(folder / 'again')
    return cfg


def test_misalignment_of_the_training_data(
    run: Callable[..., None], config_file: Path, tmp_path: Path, capsys: Any
) -> None:
    cfg = Config.fromfile(config_file)
    train = dict(cfg.test_dataloader.dataset, test_mode=False, pairs='random', pipeline=[])
    train['ann_file'] = train['ann_file'].replace('test.json', 'train.json')
    cfg.train_dataloader.dataset = train
    cfg.experiment_name = cfg.work_dir = str(tmp_path / 'trained')
    cfg.dump(tmp_path / 'train_set.py')
    run(tmp_path / 'train_set.py', '--misalignment', '--train-set')
    captions = json.loads(Path(train['ann_file']).read_text()).values()
    assert f'{sum(map(len, captions))} captions, {len(captions)} videos' in capsys.readouterr().out
    assert (tmp_path / 'trained/train_set/misalignment.png').is_file()


def test_levels_of_another_test_set(data: Any) -> None:
    other = SimpleNamespace(**vars(data))
    other.captions = [*data.captions[:-1], 'something else']
    with pytest.raises(ValueError, match='--levels-from: 16 captions in place of 16, and 2 are in'):
        match_captions(data, other)


@pytest.mark.parametrize('options', [['--levels-from', 'a.py'], ['--train-set']])
def test_options_of_misalignment_alone(
    options: list[str], run: Callable[..., None], config_file: Path, capsys: Any
) -> None:
    with pytest.raises(SystemExit):
        run(config_file, '--index', '1', *options)
    assert 'go with --misalignment' in capsys.readouterr().err


@pytest.mark.parametrize('index', [-1, 16])
def test_captions_that_are_not_there(index: int, data: Any) -> None:
    with pytest.raises(ValueError, match=rf'^caption {index} must be 0 to 15$'):
        data.caption(index)


@pytest.mark.parametrize('interaction', [Cosine(), Mug(text='sentence'), Mug(video='tokens')])
def test_interactions_that_do_not_weigh_words_and_frames(
    interaction: Any, data: Any, tool: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(data.model.head._modules, 'interaction', interaction)
    with pytest.raises(ValueError, match=r'^--pair 0: .* does not weigh words and frames; take'):
        show_pair(data, 0, tmp_path / 'pair.png')


@pytest.fixture
def run(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def run(*arguments: Any) -> None:
        monkeypatch.setattr(sys, 'argv', ['retrieve.py', *map(str, arguments)])
        tool.main()

    return run


def test_a_checkpoint_s_weights_count(
    data: Any, run: Callable[..., None], config_file: Path, tmp_path: Path, capsys: Any
) -> None:
    state = {key: torch.randn_like(value) for key, value in data.model.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'epoch_1.pth')
    picture = tmp_path / 'found.png'
    run(config_file, tmp_path / 'epoch_1.pth', '--query', 'a red circle', '--out', picture)
    found = capsys.readouterr().out
    assert found.endswith(f'Picture: {picture}\n')
    assert picture.stat().st_size > 1000
    with torch.no_grad():
        text = data.model.encode_texts(['a red circle'])
    other = data.model.similarity(text, data.gallery.video)
    assert list(printed(found)) == [1, 2, 3, 4, 5]
    assert printed(found)[1] != pytest.approx(float(other.max()), abs=1e-3)


@pytest.mark.parametrize('video', ['frames', 'tokens'])
def test_several_queries_in_one_start(
    video: Any,
    data: Any,
    scores: torch.Tensor,
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    """By an index of the frames; an interaction that reads patches scores every video."""
    monkeypatch.setattr(data.model.head.interaction, 'reads_video_tokens', video == 'tokens')
    captions = [data.caption(index)[0] for index in (3, 5)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / captions[0]).write_text('a file whose name is the query')
    tool.answer_queries(data, captions, 16, tmp_path / 'found.png')
    parts = capsys.readouterr().out.split('Picture: ')
    for number, (caption, index) in enumerate(zip(captions, (3, 5))):
        assert caption in parts[number]
        best = scores[index].sort(descending=True).values.tolist()
        assert list(printed(parts[number]).values()) == pytest.approx(best, abs=1e-4)
        assert (tmp_path / f'found_{number + 1}.png').stat().st_size > 1000


# MMEngine names what it keeps of a run by the second.
@pytest.mark.filterwarnings('ignore:.* instance named of run_:UserWarning')
def test_features_are_kept_for_as_long_as_they_hold(
    run: Callable[..., None],
    tool: ModuleType,
    data: Any,
    config_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    checkpoint, captions = tmp_path / 'epoch_1.pth', tmp_path / 'test.json'
    torch.save(dict(state_dict=data.model.state_dict()), checkpoint)
    captions.write_text(Path(data.dataset.ann_file).read_text())
    encoded, encode = [], TestSet._encode
    monkeypatch.setattr(TestSet, '_encode', lambda *a: encoded.append(1) or encode(*a))

    def query(*options: str, anew: bool) -> str:
        encoded.clear()
        options = ('--work-dir', str(tmp_path / 'kept'), '--index', '3', *options)
        ann_file = f'test_dataloader.dataset.ann_file={captions}'
        run(config_file, checkpoint, *options, '--cfg-options', ann_file)
        assert bool(encoded) == anew
        return capsys.readouterr().out.partition('    1. ')[2]

    first = query(anew=True)
    assert 'ground truth' in first
    assert query(anew=False) == first
    assert query('--top', '2', anew=False) != first
    assert query('--no-cache', anew=True) == first
    os.utime(checkpoint, (0, 0))
    assert query(anew=True) == first
    listed = json.loads(captions.read_text())
    captions.write_text(json.dumps(dict(list(listed.items())[:9])))
    assert query(anew=True) != first


@pytest.mark.parametrize('key', ['text_tower.pretrained', 'neck.init_from.pretrained', 'load_from'])
def test_features_are_made_again_for_other_weights(
    key: str, data: Any, config_file: Path, tmp_path: Path
) -> None:
    """Whoever names the file; open_clip's names are no files."""
    cfg, weights = Config.fromfile(config_file), tmp_path / 'weights.pt'
    cfg.merge_from_dict({'load_from': None, 'model.backbone.tower.pretrained': 'openai'})
    where = key if key == 'load_from' else f'model.{key}'
    cfg.merge_from_dict({where: str(weights)})
    weights.touch()
    before = fingerprint(cfg, data.dataset)
    assert fingerprint(cfg, data.dataset) == before
    os.utime(weights, (0, 0))
    assert fingerprint(cfg, data.dataset) != before


def test_training_data_as_the_bank_of_qb_norm(
    data: Any, config_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By options of the command line; videos of the bank have all their captions."""
    cfg = Config.fromfile(config_file)
    train = dict(cfg.test_dataloader.dataset, test_mode=False, pairs='random', pipeline=[])
    train['ann_file'] = train['ann_file'].replace('test.json', 'train.json')
    train = dict(type='RepeatDataset', times=2, dataset=train)
    cfg.train_dataloader.dataset = train
    cfg.experiment_name = cfg.work_dir = str(tmp_path / 'bank')
    cfg.dump(tmp_path / 'bank.py')
    seen = []
    use_bank = RetrievalMetric.use_bank
    monkeypatch.setattr(
        RetrievalMetric, 'use_bank', lambda self, *bank: seen.append(bank) or use_bank(self, *bank)
    )
    options = ['test_evaluator.qb_norm.k=1', 'test_cfg.bank_dataloader=train']
    argv = ['test.py', str(tmp_path / 'bank.py'), '--cfg-options', *options]
    monkeypatch.setattr(sys, 'argv', argv)
    script('test').main()
    ((text, video),) = seen
    videos = json.loads(Path(train['dataset']['ann_file']).read_text())
    assert len(video.frames) == len(videos)
    assert len(text.sentence) == sum(map(len, videos.values())) > len(videos)


def test_models_that_do_not_retrieve(run: Callable[..., None], tmp_path: Path) -> None:
    stock_config(tmp_path / 'work_dir').dump(tmp_path / 'recognition.py')
    with pytest.raises(SystemExit, match=r'^error: .*Recognizer3D has no similarity of texts'):
        run(tmp_path / 'recognition.py', '--misalignment')


def build_duel(data: Any) -> Duel:
    return compare_models(data, data, ('one', 'two'))


def test_a_model_against_itself(
    run: Callable[..., None], config_file: Path, data: Any, tmp_path: Path, capsys: Any
) -> None:
    """Zero wins each way, no picture; of a caption, two rows that are equal."""
    run(config_file, '--wins', '3', '--against', config_file, '--work-dir', tmp_path)
    found = capsys.readouterr().out
    first = int(
        (text_to_video_ranks(data.scores(data.gallery.text), data.gallery.owners) <= 1).sum()
    )
    assert found.splitlines()[-1] == (
        f'16 captions: rank 1 with both {first}, with retrieve (retrieve.py) alone 0 (N_10), with '
        'retrieve (retrieve.py, --against) alone 0 (N_01); sign test: p = 1'
    )
    assert not list(tmp_path.glob('*.png'))
    show_wins(build_duel(data), [3], [], tmp_path / 'wins.png')
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert rows[0].replace('one', 'two') == rows[1]
    assert (tmp_path / 'wins.png').stat().st_size > 5000


def test_wins_are_counted_both_ways(data: Any) -> None:
    ranks = torch.tensor([1, 1, 1, 2, 9, 1.0]), torch.tensor([1, 3, 7, 1, 1, 1.5])
    duel = build_duel(data)._replace(first_ranks=ranks[0], second_ranks=ranks[1])
    assert find_wins(duel) == ([2, 1, 5], [4, 3])
    assert format_counts(duel) == (
        '6 captions: rank 1 with both 1, with one alone 3 (N_10), with two alone 2 (N_01); sign '
        'test: p = 1'
    )
    assert compute_sign_test(9, 1) == pytest.approx(22 / 1024)


def test_another_model_s_first_video(data: Any, tmp_path: Path, capsys: Any) -> None:
    """The captions of the other test set have another order; the first video is the model's own."""
    other = SimpleNamespace(**vars(data))
    other.captions = data.captions[::-1]
    other.gallery = Gallery(
        TextFeatures(*(x.flip(0) for x in data.gallery.text)),
        data.gallery.video._replace(frames=data.gallery.video.frames.flip(0)),
        data.gallery.owners.flip(0),
    )
    other.scores, other.caption = (
        functools.partial(of, other) for of in (TestSet.scores, TestSet.caption)
    )
    other.frames = data.frames
    duel = compare_models(data, other, ('one', 'two'))
    assert duel.places.tolist() == [*range(15, -1, -1)]
    text = TextFeatures(*(x[5:6] for x in data.gallery.text))
    scores = data.model.similarity(text, other.gallery.video)[0]
    show_wins(duel, [5], [], tmp_path / 'wins.png')
    found = capsys.readouterr().out
    best, rank = int(scores.argmax()), 1 + int((scores > scores[data.gallery.owners[5]]).sum())
    assert f'  two: {data.names[best]}  {float(scores.max()):.4f}' in found
    assert f' and {rank};' in found


def test_words_whose_removal_lowers_the_score_most(data: Any, tmp_path: Path, capsys: Any) -> None:
    text, video = data.caption(3)
    words = text.split()
    drops = measure_drops(data, 3)
    kept = [place for place, word in enumerate(words) if word not in STOP_WORDS]
    assert list(drops) == kept and 'a' in words
    of_video = VideoFeatures(
        *(None if x is None else x[video : video + 1] for x in data.gallery.video)
    )
    with torch.no_grad():
        for place, drop in drops.items():
            shorter = ' '.join(word for i, word in enumerate(words) if i != place)
            both = data.model.similarity(data.model.encode_texts([text, shorter]), of_video)
            assert drop == pytest.approx(float(both[0] - both[1]), abs=1e-5)
    marked = sorted(choose_words(drops))
    show_wins(build_duel(data), [3], [], tmp_path / 'wins.png')
    found = capsys.readouterr().out
    listed = ', '.join(f'{words[place]} {drops[place]:.4f}' for place in marked)
    wanted = f'red: without it the score of one falls most ({listed})'
    assert (wanted if marked else 'no single word lowers the score') in found


def test_words_marked_by_hand(data: Any, tmp_path: Path, capsys: Any) -> None:
    word = data.caption(3)[0].split()[1]
    show_wins(build_duel(data), [3], [word.upper()], tmp_path / 'wins.png')
    assert 'red: marked by hand' in capsys.readouterr().out
    with pytest.raises(ValueError) as error:
        show_wins(build_duel(data), [3], ['salad'], tmp_path / 'wins.png')
    assert str(error.value) == f'--mark salad: no such word in {data.caption(3)[0]!r}'


def test_another_test_set_cannot_be_compared(data: Any) -> None:
    other = SimpleNamespace(**vars(data))
    other.captions = [*data.captions[:-1], 'something else']
    with pytest.raises(ValueError, match=r'^--against: 16 captions in place of 16, and 2 are in o'):
        compare_models(data, other, ('one', 'two'))


@pytest.mark.parametrize(
    ('options', 'problem'),
    [
        (['--query', 'a cat', '--top', '-3'], 'argument --top: -3 is less than 1'),
        (['--pair', '1', '--top', '3'], '--top goes with --query, and with --index without'),
        (['--misalignment', '--top', '5'], '--top goes with --query, and with --index without'),
        (['--index', '1', '--mark', 'salad'], '--wins and --mark go with --against'),
        (['--wins', '2'], '--wins and --mark go with --against'),
        (['--pair', '1', '--against', 'a.py'], '--against goes with --index or --wins'),
        (['--wins', '1', '--against', 'a', 'b', 'c'], '--against a b c: give CONFIG [CHECKPOINT]'),
        (['--wins', '0', '--against', 'a'], '0 is less than 1'),
        (['--wins', '1', '--against', 'a', '--top', '3'], '--top goes with --query, and with --in'),
        (['--index', '1', '--against', 'a', '--top', '3'], 'with --index without --against'),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], problem: str, run: Callable[..., None], config_file: Path, capsys: Any
) -> None:
    with pytest.raises(SystemExit):
        run(config_file, *options)
    assert problem in capsys.readouterr().err


def test_a_checkpoint_that_is_not_there(run: Callable[..., None], config_file: Path) -> None:
    with pytest.raises(SystemExit, match=r'^error: --against: there is no checkpoint x\.pth '):
        run(config_file, '--wins', '1', '--against', config_file, 'x.pth')
