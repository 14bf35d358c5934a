"""Every system on the same small towers, data and budget."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from helpers.shipped_configs import on_meta
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.benchmark.learning import KINDS, plan_system
from mmstan.benchmark.systems import list_systems
from mmstan.config.toy import make_toy, take_towers
from mmstan.registry import MODELS

PROJECT = Path(__file__).parents[2]
CONFIGS = PROJECT / 'configs'
SYSTEMS = [str(Path(path).relative_to(CONFIGS)) for path in list_systems()]


@pytest.fixture(autouse=True)
def class_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where Moving Shapes' class names are, and nothing else."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'data/moving_shapes/small/recognition'
    folder.mkdir(parents=True)
    (folder / 'classes.txt').write_text('\n'.join(f'motion {i}' for i in range(8)))


def load(name: str) -> Config:
    cfg = Config.fromfile(CONFIGS / name)
    init_default_scope(cfg.default_scope)
    return cfg


def base_of(cfg: Config) -> Config:
    return load(f'quickstart/{KINDS[cfg.model.type].base}')


def test_all_kinds_of_systems_are_compared() -> None:
    folders = {Path(name).parts[name.startswith('baselines')] for name in SYSTEMS}
    baselines = {path.name for path in (CONFIGS / 'baselines').iterdir()}
    assert folders == baselines | {'stan', 'mug_stan', 'xclip', 'dist'}


@pytest.mark.parametrize('name', SYSTEMS)
def test_every_system_has_a_toy_form(name: str) -> None:
    cfg = load(name)
    whole, base = deepcopy(cfg.model), base_of(cfg)
    run = make_toy(cfg, base)
    assert cfg.model == whole  # it is read, not changed
    assert run.train_dataloader == base.train_dataloader
    assert run.optim_wrapper == base.optim_wrapper
    assert run.model.backbone.type == whole.backbone.type
    model = on_meta(run.model)
    tower = model.backbone.tower
    assert (len(tower.blocks), tower.width, tower.grid(torch.empty(0, 32, 32))) == (4, 64, (4, 4))
    assert tower.frozen == whole.backbone.tower.get('frozen', False)
    assert sum(p.numel() for p in tower.parameters()) < 250_000
    if hasattr(model, 'cls_head'):
        assert model.cls_head.num_classes == 8


@pytest.mark.parametrize(
    'name',
    ['stan/k400_b16.py', 'dist/k400_b16_8f.py', 'xclip/k400_b16.py', 'baselines/evl/k400_b16.py'],
)
def test_a_clip_of_the_toy_gets_a_score_for_each_motion(name: str) -> None:
    cfg = load(name)
    run = make_toy(cfg, base_of(cfg))
    model = MODELS.build(run.model).eval()
    scores = model.extract_feat(torch.randn(2, 1, 3, 8, 32, 32), stage='head')[0]
    assert scores.shape == (2, 8) and scores.isfinite().all()


@pytest.mark.parametrize(
    'name',
    ['stan/ablations/ava_b16_focal.py', 'xclip/ava_b16.py', 'baselines/clip_mean/ava_b16.py'],
)
def test_a_detector_of_the_toy_scores_twelve_actions(name: str) -> None:
    cfg = load(name)
    run = make_toy(cfg, base_of(cfg))
    assert run.train_dataloader.dataset.num_classes == 13
    model = MODELS.build(run.model).eval()
    assert model.roi_head.temporal_pool == ('max' if 'focal' in name else 'mean')
    clip = torch.randn(2, 3, 7, 48, 48)  # larger than the towers' images
    boxes = [torch.tensor([[4.0, 4, 20, 20]]), torch.tensor([[8.0, 0, 30, 9], [0, 0, 48, 48]])]
    logits = model.roi_head(model.extract_map(clip), boxes, 48)
    assert logits.shape == (3, 13) and logits.isfinite().all()
    assert plan_system(str(CONFIGS / name), 0, Path('toys'))[1].kind.task == 'detection'


def test_temperatures_are_the_toys() -> None:
    mug, tight = (
        load(f'{name}/msrvtt_b32.py') for name in ('mug_stan', 'baselines/tight_transformer')
    )
    run = make_toy(mug, base_of(mug))
    assert run.model.head.scale == 20.0
    assert run.model.head.interaction.sharpness == 10.0
    assert make_toy(tight, base_of(tight)).model.head.scale == 1.0  # its own, as configured
    named = load('stan/k400_b16.py')
    assert make_toy(named, base_of(named)).model.cls_head.logit_scale == 60.0


def test_the_budget_stretches_the_schedule() -> None:
    cfg = load('stan/k400_b16.py')
    base = base_of(cfg)
    run = make_toy(cfg, base, epochs=1)
    assert run.train_cfg.max_epochs == run.train_cfg.val_interval == 1
    warm_up, cosine = run.param_scheduler
    assert warm_up.end == cosine.begin == pytest.approx(0.5 / 3)
    assert cosine.end == pytest.approx(1) and cosine.T_max == pytest.approx(2.5 / 3)
    assert base.train_cfg.max_epochs == 3


@pytest.mark.parametrize('name', ['stan/msrvtt_b32.py', 'baselines/seq_transformer/msrvtt_b32.py'])
def test_systems_start_from_the_trained_towers(name: str, tmp_path: Path) -> None:
    mean = load('baselines/clip_mean/msrvtt_b32.py')
    start = MODELS.build(make_toy(mean, base_of(mean)).model)
    weights = tmp_path / 'towers.pt'
    torch.save(take_towers(start.state_dict()), weights)
    cfg = load(name)
    system = MODELS.build(make_toy(cfg, base_of(cfg), pretrained=str(weights)).model)
    system.init_weights()
    for ours, theirs in (
        (system.backbone.tower, start.backbone.tower),
        (system.text_tower, start.text_tower),
    ):
        state = theirs.state_dict()
        assert all(torch.equal(x, state[key]) for key, x in ours.state_dict().items())
    if system.neck is not None:  # CLIP4Clip's neck starts from the text tower's blocks
        text = start.text_tower.text
        assert torch.equal(system.neck.positions, text.positional_embedding)


def test_towers_of_open_clip_and_models_of_one_kind_only() -> None:
    other = load('baselines/joint_space_time/k400_vit_b16.py')
    with pytest.raises(ValueError, match=r'is not a mmstan\.ImageTower'):
        make_toy(other, base_of(other))
    with pytest.raises(ValueError, match='its model is a Recognizer3D'):
        make_toy(load('stan/k400_b16.py'), load('quickstart/misaligned_stan.py'))


def test_equal_toys_share_a_run_and_seeds_do_not(tmp_path: Path) -> None:
    def work_dirs(name: str, seed: int) -> list[Path]:
        return [plan.work_dir for plan in plan_system(str(CONFIGS / name), seed, tmp_path)]

    b16, b32 = (work_dirs(f'stan/k400_b{size}.py', 0) for size in (16, 32))
    assert b16[0] == b32[0] == work_dirs('mug_stan/msrvtt_b32.py', 0)[0]  # the towers
    assert b16[1] == b32[1]
    assert work_dirs('stan/k400_b16.py', 1)[0] != b16[0]
    assert work_dirs('stan/msrvtt_coca_b32.py', 0)[0] != work_dirs('stan/msrvtt_b32.py', 0)[0]
