"""Rows of the papers' pages: a config with their data, tower, frames and views, or a reason."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.scripts import PROJECT
from helpers.shipped_configs import CONFIGS, on_meta
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.benchmark.model_figures import name_frames
from mmstan.benchmark.papers import SETTINGS, list_rows, read_papers
from mmstan.benchmark.view import find_view_size
from mmstan.cli import command
from mmstan.config.checks import check_arguments
from mmstan.config.options import merge_options
from mmstan.config.walk import find

ROWS = list(list_rows(read_papers(PROJECT)))
BUILT = [(source, row) for source, row in ROWS if 'Config' in row]
FOLDERS = {
    'kinetics400': 'K400',
    'kinetics600': 'K600',
    'kinetics710': 'K710',
    'sthv2': 'SSv2',
    'hmdb51': 'HMDB-51',
    'ucf101': 'UCF-101',
    'epic_kitchens': 'EPIC-Kitchens-100',
    'msrvtt': 'MSR-VTT',
    'didemo': 'DiDeMo',
    'lsmdc': 'LSMDC',
    'ava': 'AVA 2.2',
}
KEYS = {'Row', 'Config', 'Reason', 'With', 'Other', 'Reported', 'Measured', *SETTINGS}


def read_settings(cfg: Config) -> dict[str, str]:
    """Data, tower, frames and views of a config's test, as the rows name them."""
    splits = cfg.get('test_splits')
    dataset = next(iter(splits.values())) if splits else cfg.test_dataloader.dataset
    path = Path(dataset.get('ann_file') or dataset['video_list'])
    folder = path.parts[2 if path.parts[1] == 'video_retrieval' else 1]
    tower = cfg.model.backbone.tower
    frames, _ = find_view_size(cfg)
    pipeline = cfg.test_dataloader.dataset.pipeline
    crops = 3 if any(step.type == 'ThreeCrop' for step in pipeline) else 1
    return dict(
        Data=FOLDERS[folder],
        Tower=tower['model']
        if 'model' in tower
        else f'ViT-{tower.vit.arch.upper()}-16 of MMPretrain',
        Frames=str(name_frames(cfg, frames)),
        Views=f'{find(pipeline, "num_clips") or 1} x {crops}',
    )


def load_row(row: Mapping[str, Any]) -> Config:
    """The config of a row with the options of its command line."""
    cfg = Config.fromfile(PROJECT / f'configs/{row["Config"]}.py')
    if row['With']:
        line = ['config', '--cfg-options', *row['With']]
        merge_options(cfg, command(None, checkpoint=True).parse_args(line).cfg_options)
    return cfg


def test_every_row_has_a_config_or_a_reason() -> None:
    assert len(ROWS) > 300
    for source, row in ROWS:
        assert ('Config' in row) != ('Reason' in row), (source, row)
        assert row.keys() <= KEYS, (source, row)
        for name in {row.get('Config'), row.get('Other')} - {None}:
            assert f'configs/{name}.py' in CONFIGS, (source, row)


@pytest.mark.parametrize('paper', read_papers(PROJECT).values(), ids=lambda paper: paper['Title'])
def test_settings_are_those_of_the_config(paper: Mapping[str, Any]) -> None:
    known: dict[str, dict[str, str]] = {}
    wrong = []
    for table in paper['Tables']:
        for row in table['Rows']:
            if 'Config' not in row:
                continue
            key = f'{row["Config"]} {row["With"]}'
            if key not in known:
                cfg = load_row(row)
                init_default_scope(cfg.default_scope)
                if row['With']:
                    check_arguments(cfg)  # the options name arguments that are there
                known[key] = read_settings(cfg)
            if known[key] != {name: row[name] for name in SETTINGS}:
                wrong.append((table['Table'], row, known[key]))
    assert not wrong


# Of the rows with options of the model; those without have a config, which test_shipped builds.
WITH_MODEL = [
    row
    for _, row in BUILT
    if any(option.startswith(('model.b', 'model.h')) for option in row['With'])
]


@pytest.mark.parametrize('row', WITH_MODEL[::12], ids=lambda row: row['Row'])
def test_models_of_options_are_built(row: Mapping[str, Any]) -> None:
    cfg = load_row(row)
    init_default_scope(cfg.default_scope)
    if 'class_names' in cfg.model.get('cls_head', {}):
        cfg.model.cls_head.class_names = ['one', 'two']
    assert next(on_meta(cfg.model).parameters()).is_meta


def find_start(row: Mapping[str, Any]) -> str:
    """The config that trains the ``load_from`` of a row."""
    start = next(option for option in row['With'] if option.startswith('load_from='))
    if path := re.fullmatch(r'load_from=work_dirs/(.+)/epoch_\d+\.pth', start):
        return path[1]
    method = row['Config'].split('/')[0]
    if method == 'baselines' or 'no_stan' in row['Config']:  # CLIP's frames; Mug has no weights
        method = 'baselines/clip_mean'
    return f'{method}/pretrain/webvid10m_b32'


def list_tensors(cfg: Config) -> set[str]:
    """Names of the tensors in a checkpoint of a config."""
    init_default_scope(cfg.default_scope)
    if 'class_names' in cfg.model.get('cls_head', {}):
        cfg.model.cls_head.class_names = ['one', 'two']
    return set(on_meta(cfg.model).state_dict())


WITH_START = {
    row['Config']: row
    for _, row in BUILT
    if any(option.startswith('load_from=') for option in row['With'])
}


def test_rows_start_from_checkpoints_that_fit() -> None:
    assert len(WITH_START) > 9
    for row in WITH_START.values():
        cfg = load_row(row)
        start = Config.fromfile(PROJECT / f'configs/{find_start(row)}.py')
        misfits = list_tensors(cfg) ^ list_tensors(start)
        assert misfits == set(cfg.allow_missing), row


def test_a_wrong_setting_is_seen() -> None:
    row = dict(Config='stan/k400_b16', With=['test_dataloader.dataset.pipeline.2.type=CenterCrop'])
    found = read_settings(load_row(row))
    assert found == dict(Data='K400', Tower='ViT-B-16', Frames='8', Views='1 x 1')
    assert read_settings(load_row(dict(row, With=[])))['Views'] == '1 x 3'
