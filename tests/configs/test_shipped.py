"""Every config that ships: arguments, pipelines, optimiser groups, schedules."""

import re
from pathlib import Path

import pytest
from helpers.scripts import PROJECT
from helpers.shipped_configs import CONFIGS, on_meta, parameter_groups
from mmaction.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

from mmstan.config.checks import check_arguments, find_missing_data
from mmstan.config.inherited import check_inherited
from mmstan.config.paths import default_work_dir
from mmstan.config.variables import check_misplaced, check_top_level


@pytest.fixture(scope='module')
def names_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp('classes') / 'names.txt'
    path.write_text('cooking\ndancing\nyoga\n')
    return str(path)


@pytest.fixture(params=CONFIGS)
def shipped(request: pytest.FixtureRequest, names_file: str) -> Config:
    """The config, with class names that are there."""
    cfg = Config.fromfile(PROJECT / request.param)
    init_default_scope(cfg.default_scope)
    for key, _ in list(find_missing_data(cfg, ())):
        if key.endswith('.class_names'):
            cfg.merge_from_dict({key: names_file})
    return cfg


def test_shipped_config(shipped: Config) -> None:
    check_arguments(shipped)
    check_top_level(shipped)
    check_misplaced(shipped)
    check_inherited(shipped)
    assert 'mmstan' in shipped.custom_imports.imports
    loaders = [shipped.get(f'{split}_dataloader') for split in ('train', 'val', 'test')]
    only_tests = 'optim_wrapper' not in shipped
    assert [loader is None for loader in loaders] == [only_tests, only_tests, False]
    for loader in filter(None, loaders):
        dataset = loader.dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        Compose([TRANSFORMS.build(step) for step in dataset.pipeline])
    model = on_meta(shipped.model)
    assert next(model.parameters()).is_meta
    if only_tests:
        return
    # Every parameter is claimed by a rule, and the schedule can be built.
    optim_wrapper = build_optim_wrapper(model, shipped.optim_wrapper)
    for cfg in shipped.param_scheduler:
        kind = PARAM_SCHEDULERS.get(cfg.type)
        arguments = {k: v for k, v in cfg.items() if k not in ('type', 'convert_to_iter_based')}
        if cfg.get('convert_to_iter_based'):
            arguments['epoch_length'] = 3
            kind = kind.build_iter_from_epoch
        kind(optim_wrapper.optimizer, **arguments)


def test_a_start_is_the_last_checkpoint_of_another_config() -> None:
    writers = {default_work_dir(name): name for name in CONFIGS}
    checked = 0
    for name in CONFIGS:
        text = (PROJECT / name).read_text('utf-8')
        if start := re.search(r"^load_from = '(.+)/epoch_(\d+)\.pth'$", text, re.MULTILINE):
            writer = Config.fromfile(PROJECT / writers[start[1]])
            assert writer.train_cfg.max_epochs == int(start[2]), name
            checked += 1
    assert checked > 6


@pytest.mark.parametrize(
    ('name', 'lr'),
    [
        ('stan/k400_b16', 8e-6),  # Mug-STAN's
        ('stan/ssv2_b16_conv', 8e-6),
        ('stan/k400_b32', 8e-6),
        ('stan/ssv2_b16_paper', 2e-6),  # as STAN prints it
    ],
)
def test_learning_rates_and_decay_of_stan(name: str, lr: float, tmp_path: Path) -> None:
    groups = parameter_groups(name, tmp_path)
    assert {key.split('.')[0] for key in groups} == {'backbone'}  # the text tower is frozen
    for key, group in groups.items():
        of_branch = key.startswith('backbone.branches.')
        assert group['lr'] == pytest.approx(10 * lr if of_branch else lr), key
        matrix = key.endswith('.weight') and not {'ln', 'norm'} & {
            part.split('_')[0] for part in key.split('.')
        }
        matrix = matrix or key.endswith(('.in_proj_weight', '.proj'))
        assert group['weight_decay'] == (0.02 if matrix else 0), key
    assert groups['backbone.branches.0.time_embedding']['weight_decay'] == 0


@pytest.mark.parametrize('data', ['k400', 'ssv2'])
@pytest.mark.parametrize(('suffix', 'frames'), [('', 8), ('_16f', 16)])
def test_frames_of_a_clip(data: str, suffix: str, frames: int) -> None:
    cfg = Config.fromfile(PROJECT / f'configs/stan/{data}_b16{suffix}.py')
    for split in ('train', 'val', 'test'):
        sampler = cfg[f'{split}_dataloader'].dataset.pipeline[0].sampler
        assert sampler.num_frames == frames
        assert sampler.get('test_mode', False) == (split != 'train')
