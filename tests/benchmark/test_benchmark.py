"""The benchmark of all systems: what is measured and shown."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.benchmark_systems import FIGURES, MEAN, PRODUCTS, SETTINGS, STAN
from helpers.devices import on_devices
from helpers.scripts import script
from helpers.tiny_models import TOWER
from helpers.videos import numbered_frames, write_video
from mmengine.config import Config

from mmstan.benchmark import measuring
from mmstan.benchmark.cost import Settings, measure
from mmstan.benchmark.jobs import Job, add_references, add_variants, read_system
from mmstan.benchmark.measure import (
    count_multiply_adds,
    describe_machine,
    measure_laps,
    measure_matrix_products,
    measure_peak_memory,
    measure_seconds,
)
from mmstan.benchmark.measuring import measure_in_own_process
from mmstan.benchmark.own_process import run_own_process
from mmstan.benchmark.rows import (
    Row,
    read_csv,
    summarise_costs,
    summarise_scores,
    summarise_variants,
    write_csv,
)
from mmstan.benchmark.table import format_rows, write
from mmstan.config.toy import make_toy

PROJECT = Path(__file__).parents[2]
benchmark = script('benchmark')
on_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')


@pytest.fixture
def small_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The config file of a STAN of toy size."""
    monkeypatch.chdir(tmp_path)
    names = tmp_path / 'data/moving_shapes/small/recognition/classes.txt'
    names.parent.mkdir(parents=True)
    names.write_text('left\nright')
    cfg, base = Config.fromfile(STAN), Config.fromfile(PROJECT / 'configs/quickstart/clip_mean.py')
    path = tmp_path / 'small.py'
    make_toy(cfg, base).dump(path)
    return str(path)


def test_measure(small_config: str) -> None:
    found = measure(small_config, SETTINGS)
    assert set(found) == set(FIGURES) | PRODUCTS
    assert 0.01 < found['gmacs'] < 0.1  # 8 frames of 17 tokens through 4 blocks of width 64, twice
    text = 49408 * 64
    assert text < found['parameters'] - found['trained'] < 2 * text  # the text tower is frozen
    assert all(value > 0 for value in found.values())
    assert found['iteration'] > found['step']


def test_a_detector_is_measured(tmp_path: Path) -> None:
    model = dict(
        type='mmstan.ActionDetector',
        backbone=dict(type='mmstan.FrameEncoder', tower=TOWER),
        roi_head=dict(type='mmstan.ActionRoIHead', bbox_head=dict(type='mmstan.ActionHead')),
    )
    pipeline = [dict(type='Sampler', num_frames=2), dict(type='mmstan.ResizeToGrid', short=32)]
    path = tmp_path / 'detector.py'
    Config(dict(model=model, test_pipeline=pipeline)).dump(path)
    assert read_system(str(path)).kind == 'detection'
    found = measure(str(path), SETTINGS)
    assert set(found) == set(FIGURES) | PRODUCTS and all(value > 0 for value in found.values())


def test_settings_reach_the_measurement(small_config: str) -> None:
    found = measure(small_config, replace(SETTINGS, frames=4, size=32, precision='bf16'))
    assert found['gmacs'] < 0.045  # the config's own view has more
    assert 0.99 < found['agreement'] < 1


@on_devices
@pytest.mark.parametrize('precision', ['fp32', 'bf16', 'fp16'])
def test_on_a_device(small_config: str, precision: str, device: str) -> None:
    if device == 'cpu':
        pytest.skip('test_measure and test_settings_reach_the_measurement are its twins')
    found = measure(small_config, Settings(device, 1, precision=precision, repeats=1))
    more = {'peak'} if device == 'cuda' else set()
    more |= {'agreement'} if precision != 'fp32' else set()
    assert set(found) == set(FIGURES) | PRODUCTS | more and all(
        value > 0 for value in found.values()
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_the_largest_batch_of_a_gpu(small_config: str) -> None:
    """Its twin is in test_iteration.py. Most of the memory is taken, so that it ends soon."""
    free, _ = torch.cuda.mem_get_info()
    taken = torch.empty(max(0, free - 2 * 2**30), dtype=torch.uint8, device='cuda')
    settings = Settings('cuda', 1, precision='bf16', repeats=1, compiled=True, largest_batch=True)
    assert measure(small_config, settings)['largest_batch'] > 1
    del taken


def test_a_process_of_its_own(small_config: str) -> None:
    settings = replace(SETTINGS, frames=2, views=False)
    found = measure_in_own_process(Job(small_config, settings))
    assert set(found) == (set(FIGURES) | PRODUCTS) - {'forward', 'forward_products', 'share'}
    with pytest.raises(ValueError, match=r'^error: no memory$'):
        run_own_process('-c', 'print("a line"); raise SystemExit("a\\nerror: no memory\\nb")')


def test_compiled_variants_are_of_the_iteration_alone() -> None:
    jobs = add_variants([Job(STAN, SETTINGS)], ['bf16', 'compiled'])
    found = [(x.settings.precision, x.settings.compiled, x.settings.views) for x in jobs]
    assert found == [('fp32', False, True), ('bf16', False, True), ('fp32', True, False)]


def test_what_is_kept_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []

    def in_own_process(job: Job) -> dict[str, float]:
        measured.append(Path(job.config).parent.name)
        if len(measured) == 2:
            raise ValueError('out of memory')
        return FIGURES

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measuring, 'measure_in_own_process', in_own_process)
    argv = ['benchmark.py', MEAN, STAN, '--rounds=2', '--device=cpu', '--out=out']
    monkeypatch.setattr(sys, 'argv', argv)
    with pytest.raises(SystemExit, match='out of memory'):  # at the end, the others are there
        benchmark.main()
    assert measured == ['clip_mean', 'stan', 'clip_mean', 'stan']  # in turn
    assert '`stan/k400_b16` | 8 | 10.0 | 3.0 M | 1.0 M | 1.00 x' in capsys.readouterr().out
    benchmark.main()
    assert measured[4:] == ['stan']
    monkeypatch.setattr(sys, 'argv', [*argv, '--threads=7'])  # another table
    benchmark.main()
    assert len(measured) == 9
    monkeypatch.setattr(sys, 'argv', [*argv, '--threads=7', '--again'])
    benchmark.main()
    assert len(measured) == 13
    assert {row.rounds for row in read_csv(Path('out/systems.csv'))} == {2}


def test_pipelines_beside_what_the_models_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'videos').mkdir()
    write_video(tmp_path / 'videos/a.mp4', numbered_frames(16))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        measuring, 'measure_in_own_process', lambda *_: FIGURES | dict(iteration=1e-6)
    )
    argv = ['benchmark.py', STAN, '--data', '--videos=videos', '--workers=0', '--repeats=1']
    monkeypatch.setattr(sys, 'argv', argv)
    benchmark.main()
    out = capsys.readouterr().out
    assert 'the model starves: it takes 2000000.0 clips/s' in out
    assert 'ReadFrames' in out


def test_missing_videos_are_found_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, 'run_costs', None)
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', STAN, '--data'])
    with pytest.raises(FileNotFoundError, match='--videos FOLDER'):
        benchmark.main()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--data'], 'name at least one'),
        (['--report', '--again'], '--report runs nothing'),
        (['--report', '--data', STAN], '--report runs nothing'),
        (['--videos', 'a'], 'options of --data'),
        (['--clips', '0'], '0 is less than 1'),
        (['--rounds', '-1'], '-1 is less than 0'),
        (['--beside', 'bf16', '--precision', 'bf16'], '--beside bf16 is what the other options'),
        (['--beside', 'compiled', '--compile'], '--beside compiled is what the other options'),
        (['--device', 'cpu', '--precision', 'fp16'], 'on a CPU take bf16'),
        (['--device', 'cpu', '--largest-batch'], '--largest-batch is for a GPU'),
        pytest.param(['--device', 'cuda'], 'sees no GPU', marks=on_cpu),
    ],
)
def test_options_that_make_no_sense(
    options: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, 'argv', ['benchmark.py', *options])
    with pytest.raises(SystemExit):
        benchmark.parse_args()
    assert message in capsys.readouterr().err


def test_mean_pooling_of_the_same_tower_is_measured_beside_a_config(small_config: str) -> None:
    configs = PROJECT / 'configs'
    large, coca = configs / 'stan/k400_l14.py', configs / 'mug_stan/msrvtt_coca_b32.py'
    found = add_references([STAN, str(large), MEAN, str(coca), STAN], SETTINGS)
    assert [(job.name, job.settings) for job in found] == [
        ('baselines/clip_mean/k400_b16', SETTINGS),
        ('baselines/clip_mean/k400_l14', SETTINGS),
        ('baselines/clip_mean/msrvtt_coca_b32', SETTINGS),
        ('stan/k400_b16', SETTINGS),
        ('stan/k400_l14', SETTINGS),
        ('mug_stan/msrvtt_coca_b32', SETTINGS),
    ]
    own_tower = Job(small_config, SETTINGS)
    assert add_references([small_config], SETTINGS) == [own_tower]


def test_ratios_are_of_the_same_round() -> None:
    def rounds(*times: float) -> dict[int, dict[str, float]]:
        return {i: FIGURES | dict(forward=time) for i, time in enumerate(times)}

    # The machine was ten times slower in the second round.
    found = summarise_costs(rounds(3.0, 40.0, 3.0), rounds(2.0, 20.0), clips=2)
    assert found['forward'] == pytest.approx((1.5 + 2.0) / 2)
    assert found['throughput'] == pytest.approx(2 / 3.0)
    assert found['rounds'] == 3
    assert found['memory'] == pytest.approx(0.5) and found['parameters'] == pytest.approx(3)
    assert summarise_costs(rounds(3.0), {}, clips=2)['forward'] is None
    assert summarise_costs({}, rounds(3.0), clips=2) == {}


def test_ratios_are_of_times_in_plain_products() -> None:
    # The machine was half as fast for the system: its time doubled, the products' rate was halved.
    mean = {0: FIGURES | dict(iteration=10.0, iteration_products=1e12)}
    slow = {0: FIGURES | dict(iteration=30.0, iteration_products=1.5e12)}
    found = summarise_costs(slow, mean, clips=2)
    assert found['iteration'] == 1.5 and found['iterated_clips'] == pytest.approx(2 / 30)
    assert summarise_variants(slow, {'bf16': mean})['bf16'] == 1.5
    older = {0: FIGURES | dict(iteration=20.0)}
    assert summarise_costs(slow, older, clips=2)['iteration'] == 1.5  # seconds over seconds
    both = {0: older[0], 1: mean[0]}  # its second round counts alone, the first has seconds only
    assert summarise_costs({0: older[0], 1: slow[0]}, both, clips=2)['iteration'] == 1.5


def test_variants_are_compared_within_a_round() -> None:
    def rounds(*times: float, **more: float) -> dict[int, dict[str, float]]:
        return {i: FIGURES | dict(iteration=time) | more for i, time in enumerate(times)}

    # The machine was ten times slower in the second round; the third of bf16 is not there yet.
    bf16 = rounds(5.0, 40.0, agreement=0.9)
    found = summarise_variants(rounds(10.0, 100.0, 10.0), {'bf16': bf16, 'bf16-compiled': {}})
    assert found == dict(
        bf16=pytest.approx((2 + 2.5) / 2),
        forward_bf16=1,
        bf16_compiled=None,
        agreement=0.9,
    )
    old = {0: {key: x for key, x in FIGURES.items() if key not in ('iteration', 'utilisation')}}
    assert summarise_variants(old, {'bf16': bf16})['bf16'] is None
    assert summarise_costs(old, old, clips=2)['iteration'] is None


@pytest.mark.parametrize(
    ('scores', 'mean', 'deviation'), [([90.0], 90, None), ([90.0, 94.0], 92, 8**0.5)]
)
def test_scores_over_seeds(scores: list[float], mean: float, deviation: float | None) -> None:
    found = summarise_scores(scores)
    assert (found['score'], found['seeds']) == (mean, len(scores))
    assert found['deviation'] == (None if deviation is None else pytest.approx(deviation))
    assert summarise_scores([]) == {}


ROWS = [
    Row('stan/k400_b16', 'recognition', 'ViT-B-16', 'A', gmacs=205.5, score=84.4, deviation=1.25),
    Row('clip_mean/k400_b16', 'recognition', 'ViT-B-16', 'A', gmacs=140.5, score=51.25, rounds=2),
    Row('stan/msrvtt_b32', 'retrieval', 'ViT-B-32', 'A', forward=1.4),
]


def test_files(tmp_path: Path) -> None:
    write_csv(ROWS, tmp_path / 'a.csv')
    assert read_csv(tmp_path / 'a.csv') == ROWS
    text = write(ROWS, tmp_path / 'out')
    assert text.startswith('A\n') and (tmp_path / 'out/systems.md').read_text() == text
    assert (tmp_path / 'out/systems.png').stat().st_size > 1000
    recognition, retrieval = format_rows(ROWS).split('retrieval, ')
    assert recognition.index('clip_mean') < recognition.index('stan')  # by multiply-adds
    assert '84.4 ± 1.2' in recognition and 'top-1 |' in recognition
    assert '1.40 x' in retrieval and 'R@1 |' in retrieval


def test_columns_that_no_row_has_are_left_out() -> None:
    head = format_rows(ROWS).splitlines()[2]
    assert 'iteration' not in head and 'peak' not in head
    measured = replace(
        ROWS[0], iteration=1.5, bf16=2.25, bf16_compiled=3, agreement=0.99996, largest_batch=160
    )
    text = format_rows([measured, *ROWS[1:]])
    wanted = (
        '| step | iteration | bf16 | bf16, compiled | agreement | clips/s | memory | rate '
        '| largest batch |'
    )
    assert text.count(wanted) == 2  # both tables have the same columns
    assert '| - | 1.50 x | 2.25 x | 3.00 x | 0.99996 | - | - | - | 160 | 84.4' in text


def test_one_table_is_of_one_machine(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"machine=\['A', 'B'\]"):
        write([*ROWS, replace(ROWS[0], machine='B')], tmp_path)


def test_what_a_table_says_of_rounds_and_seeds() -> None:
    rows = [replace(ROWS[1], seeds=1), replace(ROWS[0], seeds=3, rounds=2)]
    text = format_rows(rows)
    assert text.startswith('recognition, ViT-B-16, 2 rounds, 1 to 3 seeds')
    assert '51.2 (1) |' in text and '84.4 ± 1.2 |' in text


def test_an_lstm_is_counted() -> None:
    """oneDNN's is one operator, which is used on the CPU."""
    lstm, x = torch.nn.LSTM(8, 16, batch_first=True), torch.randn(2, 3, 8)
    enabled = torch.backends.mkldnn.enabled
    assert count_multiply_adds(lstm, x).linear == 6 * 4 * 16 * (8 + 16)
    assert torch.backends.mkldnn.enabled == enabled


def test_measuring() -> None:
    assert 'torch' in describe_machine()
    assert measure_matrix_products(repeats=1) > 0
    assert measure_seconds(lambda: None) >= 0
    short, long = measure_laps(lambda: None, lambda: sum(range(100_000)))
    assert 0 <= short < long
    held = []
    assert measure_peak_memory(lambda: held.append(bytearray(50_000_000))) > 40_000_000


def test_the_page_shows_what_was_measured() -> None:
    rows = read_csv(PROJECT / 'docs/benchmark/systems.csv')
    page = (PROJECT / 'docs/results.md').read_text('utf-8')
    assert format_rows(rows) in page
    assert {row.machine for row in rows} == {rows[0].machine}
    assert rows[0].machine in page
