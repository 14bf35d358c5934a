"""Keys that nothing reads: slips at the top of a config, variables that a base has used up."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmstan.config.inherited import check_inherited
from mmstan.config.variables import check_misplaced, check_top_level

# --- the top of a config file ---


@pytest.mark.parametrize(
    ('text', 'meant'),
    [
        ("optim_wraper = dict(type='OptimWrapper')", 'optim_wrapper'),
        ('train_dataloaders = dict(batch_size=2)', 'train_dataloader'),
        ("model = dict()\nmodle = dict(type='A')", 'model'),
        ("load_form = 'a.pth'", 'load_from'),
        ('custom_hook = [dict(type="EMAHook")]', 'custom_hooks'),
    ],
)
def test_a_key_of_the_runner_with_a_slip(text: str, meant: str, tmp_path: Path) -> None:
    (tmp_path / 'c.py').write_text(text)
    with pytest.raises(ValueError, match=f"is read by nothing; did you mean '{meant}'"):
        check_top_level(Config.fromfile(tmp_path / 'c.py'))


@pytest.mark.parametrize(
    'text',
    [
        "mode = 'rgb'\nmodels = 3",  # a model is a dict
        "models = dict(a=1)\nmodel = dict(type='A', parts=models)",
        'custom_hook = dict(type="EMAHook")\ncustom_hooks = [custom_hook]',
        'test_cfgs = dict(a=1)\nif test_cfgs:\n    a = 1',
        'my_own = 3\ndata_root = "a"',
    ],
)
def test_variables_of_the_users_own(text: str, tmp_path: Path) -> None:
    (tmp_path / 'c.py').write_text(text)
    check_top_level(Config.fromfile(tmp_path / 'c.py'))


@pytest.mark.parametrize(
    ('text', 'place'),
    [
        ('seed = 3', 'randomness.seed'),
        ('deterministic = True\nrandomness = dict(seed=1)', 'randomness.deterministic'),
        ('max_epochs = 30\ntrain_cfg = dict(max_epochs=50)', 'train_cfg.max_epochs'),
        ("optimizer = dict(type='SGD', lr=0.1)", 'optim_wrapper.optimizer'),
        ("lr_config = dict(policy='step')", 'param_scheduler'),
        ('fp16 = dict(loss_scale=512.0)', "optim_wrapper.type='AmpOptimWrapper'"),
        (
            'data_preprocessor = dict(mean=[1])\nmodel = dict(data_preprocessor=dict(mean=[2]))',
            'model.data_preprocessor',
        ),
    ],
)
def test_a_key_of_another_place(text: str, place: str, tmp_path: Path) -> None:
    (tmp_path / 'c.py').write_text(text)
    with pytest.raises(ValueError, match='is read by nothing') as error:
        check_misplaced(Config.fromfile(tmp_path / 'c.py'))
    assert f'set {place}' in str(error.value)


@pytest.mark.parametrize(
    'text',
    [
        'max_epochs = 30\ntrain_cfg = dict(max_epochs=max_epochs)',
        "optimizer = dict(type='SGD')\noptim_wrapper = dict(optimizer=optimizer)",
        'seed = 3\nrandomness = dict(seed=3)',
        'data_preprocessor = dict(mean=[1])\nmodel = dict(type="A")',  # MMEngine gives it the model
        'mean = dict(mean=[1])\ndata_preprocessor = mean\nmodel = dict(data_preprocessor=mean)',
    ],
)
def test_keys_of_these_names_that_are_read(text: str, tmp_path: Path) -> None:
    (tmp_path / 'c.py').write_text(text)
    check_misplaced(Config.fromfile(tmp_path / 'c.py'))


def test_a_dumped_config_has_lost_the_uses_of_its_variables(tmp_path: Path) -> None:
    keys = [f'key_{i} = {i}' for i in range(10)]
    text = ['max_epochs = 30', 'train_cfg = dict(max_epochs=max_epochs)', *keys]
    (tmp_path / 'c.py').write_text('\n'.join(text))
    cfg = Config.fromfile(tmp_path / 'c.py')
    cfg.train_cfg.max_epochs = 2
    check_misplaced(cfg)
    cfg.dump(tmp_path / 'dumped.py')
    check_misplaced(Config.fromfile(tmp_path / 'dumped.py'))
    (tmp_path / 'child.py').write_text("_base_ = ['dumped.py']\ntrain_cfg = dict(max_epochs=77)\n")
    check_misplaced(Config.fromfile(tmp_path / 'child.py'))


# --- variables of a base ---


def inherit(folder: Path, text: str) -> Config:
    (folder / 'base.py').write_text(
        "root, frames, unused = 'data/a', 8, 3\n"
        "data = dict(ann_file=root + '/list.txt', num_frames=frames)\n"
        'train_dataloader = dict(dataset=data)\n'
    )
    (folder / 'child.py').write_text(f"_base_ = 'base.py'\n{text}\n")
    return Config.fromfile(folder / 'child.py')


@pytest.mark.parametrize(
    ('text', 'keys'),
    [
        ("root = 'data/b'", 'train_dataloader.dataset.ann_file'),
        ('frames = 16', 'train_dataloader.dataset.num_frames'),
    ],
)
def test_a_variable_that_a_base_has_used_up(text: str, keys: str, tmp_path: Path) -> None:
    name = text.split()[0]
    with pytest.raises(ValueError, match=f"child.py: '{name}' changes nothing") as error:
        check_inherited(inherit(tmp_path, text))
    assert str(error.value).endswith(f'set the keys that hold its value now: {keys}')


@pytest.mark.parametrize(
    'text',
    [
        "root = 'data/a'",
        "root = 'data/b'\ntrain_dataloader = dict(dataset=dict(ann_file=root + '/list.txt'))",
        "root = 'b'\ntrain_dataloader = dict(dataset=dict(ann_file='c.txt'))",
        'unused = 5',
        'my_own = 8',
    ],
)
def test_variables_with_an_effect_or_none_to_have(text: str, tmp_path: Path) -> None:
    check_inherited(inherit(tmp_path, text))
