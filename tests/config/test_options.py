"""Options of the command line: what has an effect is taken, what has none is refused."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from mmstan.cli import command
from mmstan.config.options import check_split_options, merge_options

CONFIGS = Path(__file__).parents[2] / 'configs'


def load(name: str = 'stan/k400_b16') -> Config:
    return Config.fromfile(CONFIGS / f'{name}.py')


def read(*pairs: str) -> dict[str, Any]:
    return command(None).parse_args(['config.py', '--cfg-options', *pairs]).cfg_options


def refused(*pairs: str, config: str = 'stan/k400_b16') -> str:
    with pytest.raises(ValueError, match=r'^--cfg-options ') as error:
        merge_options(load(config), read(*pairs))
    assert '\n' not in str(error.value)
    return str(error.value)


# --- keys that nobody takes ---


@pytest.mark.parametrize(
    ('option', 'meant'),
    [
        ('optim_wraper.optimizer.lr=0.5', 'optim_wrapper'),
        ('train_dataloder.batch_size=2', 'train_dataloader'),
        ('train_dataloader.batchsize=2', 'batch_size'),
        ('model.backbone.drop_paht=0.2', 'drop_path'),
        ('model.backbone.tower.mdel=ViT-B-32', 'model'),
        ('model.test_cfg.max_testing_view=4', 'max_testing_views'),
        ('train_dataloader.dataset.ann_flie=a.txt', 'ann_file'),
        ('train_dataloader.dataset.data_prefix.vidoe=videos', 'video'),
        ('train_dataloader.dataset.pipeline.0.sampler.num_frame=4', 'num_frames'),
        ('train_dataloader.dataset.pipeline.1.sclae=(-1,256)', 'scale'),
        ('optim_wrapper.optimiser.lr=1', 'optimizer'),
        ('optim_wrapper.optimizer.weight_dcay=1', 'weight_decay'),
        ('optim_wrapper.clip_grad.max_nrom=1', 'max_norm'),
        ('optim_wrapper.acumulative_counts=2', 'accumulative_counts'),
        ('param_scheduler.0.edn=3', 'end'),  # codespell:ignore
        ('train_cfg.max_epoch=3', 'max_epochs'),
        ('val_evaluator.metric_option.top_k=1', 'metric_options'),
        ('default_hooks.checkpont.interval=2', 'checkpoint'),  # codespell:ignore
        ('default_hooks.checkpoint.intervall=2', 'interval'),  # codespell:ignore
        ('custom_hooks.0.max_shar=0.5', 'max_share'),
        ('randomness.sede=3', 'seed'),
        ('env_cfg.cudnn_benchmrk=True', 'cudnn_benchmark'),
        ('auto_scale_lr.enabled=True', 'enable'),
        ('log_processor.window_sze=3', 'window_size'),
        ('optim_wrapper.optimizer.type=AdmW', 'AdamW'),
        ('model.cls_head.type=mmstan.TextHed', 'TextHead'),
    ],
)
def test_one_slip(option: str, meant: str) -> None:
    message = refused(option)
    assert message.startswith(f'--cfg-options {option.split("=")[0]}: there is no ')
    assert message.endswith(f"; did you mean '{meant}'?")


def test_a_key_that_is_near_nothing() -> None:
    message = refused('optim_wrapper.optimizer.momentum=0.9')
    assert "optim_wrapper.optimizer (AdamW) takes no 'momentum'; it has amsgrad, betas, " in message
    message = refused('colour=red')
    assert "a run takes no 'colour'; it has " in message and 'train_dataloader' in message
    assert 'data_root' not in message  # which would have no effect either


def test_a_key_of_a_part_at_the_top() -> None:
    message = refused('batch_size=2')
    keys = [f'{split}_dataloader.batch_size' for split in ('train', 'val', 'test')]
    assert message.endswith(f"takes no 'batch_size'; it is a key of parts: {', '.join(keys)}")


@pytest.mark.parametrize(
    ('option', 'reason'),
    [
        ('train_dataloader.dataset.pipeline.9.scale=4', "with the entries 0 to 5, not '9'"),
        ('train_dataloader.dataset.pipeline.scale=4', "with the entries 0 to 5, not 'scale'"),
        ('model.backbone.levels.0=3', r'is a tuple; set it whole, model.backbone.levels=(9, 10'),
        ('model.neck.type.name=3', "model.neck.type is 'mmstan.MeanPool', which has no 'name'"),
        ('model.backbone=STAN', 'set model.backbone.KEY=VALUE'),
        ('param_scheduler=none', 'set param_scheduler.0.KEY=VALUE'),
    ],
)
def test_settings_in_the_wrong_place(option: str, reason: str) -> None:
    assert reason in refused(option)


# --- keys that somebody takes ---


@pytest.mark.parametrize(
    'options',
    [
        ['load_from=a.pth', 'resume=True', 'experiment_name=a', 'work_dir=b', 'log_level=DEBUG'],
        ['randomness.seed=3', 'randomness.deterministic=True', 'compile=True', 'sync_bn=torch'],
        ['compile.mode=max-autotune', 'find_unused_parameters=True'],
        ['model_wrapper_cfg.type=MMDistributedDataParallel', 'model_wrapper_cfg.static_graph=True'],
        ['allow_missing=[backbone]', 'custom_hooks=[]', 'val_evaluator=None'],
        ['default_hooks.checkpoint.save_optimizer=False', 'default_hooks.timer=None'],
        ['default_hooks.ema.type=EMAHook', 'default_hooks.ema.momentum=0.1'],
        ['default_hooks.stop.type=EarlyStoppingHook', 'default_hooks.stop.priority=LOW'],
        ['custom_hooks.0.max_share=0.5', 'custom_hooks.0.priority=LOW'],
        ['env_cfg.dist_cfg.timeout=100', 'env_cfg.mp_cfg.mp_start_method=spawn'],
        ['train_dataloader.prefetch_factor=4', 'train_dataloader.num_batch_per_epoch=4'],
        ['train_dataloader.dataset.data_prefix.img=a', 'test_dataloader.dataset.skip_broken=True'],
        ['optim_wrapper.type=AmpOptimWrapper', 'optim_wrapper.dtype=float16'],
        ['optim_wrapper.optimizer.type=SGD', 'optim_wrapper.optimizer.momentum=0.9'],
        ['optim_wrapper.optimizer.fused=True', 'optim_wrapper.accumulative_counts=4'],
        ['optim_wrapper.clip_grad=None', 'param_scheduler.1.eta_min=0'],
        ['val_evaluator.metric_options.top_k_accuracy.topk=(1,2)', 'auto_scale_lr.enable=True'],
        ['model.test_cfg.max_testing_views=4', 'model.backbone.checkpointing=True'],
        ['model.backbone.init_cfg.type=Pretrained', 'model.backbone.init_cfg.checkpoint=a.pth'],
        ['model.neck.type=mmstan.SequenceTransformer', 'model.neck.width=512'],
        ['visualizer.vis_backends.0.type=TensorboardVisBackend', 'train_cfg.val_begin=3'],
        ['model.cls_head.text_tower.pretrained=laion2b_s34b_b88k', 'num_frames=8'],
    ],
)
def test_settings_that_are_taken(options: list[str]) -> None:
    cfg = load()
    cfg.model.backbone.init_cfg = dict()
    merge_options(cfg, read(*options))
    for key, value in read(*options).items():
        node = cfg._cfg_dict
        for part in key.split('.'):
            node = node[int(part)] if isinstance(node, list) else node[part]
        assert node == value


def test_settings_of_what_is_none() -> None:
    cfg = load()
    cfg.optim_wrapper.clip_grad = None
    merge_options(cfg, read('optim_wrapper.clip_grad.max_norm=1'))
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=1)
    cfg.val_dataloader = None  # --no-validate
    with pytest.raises(ValueError, match=r"val_dataloader is None, which has no 'batch_size'"):
        merge_options(cfg, read('val_dataloader.batch_size=2'))


def test_documented_options_of_retrieval() -> None:
    cfg = load('stan/msrvtt_b32')
    norm = ['test_evaluator.qb_norm.k=1', 'test_evaluator.qb_norm.beta=20']
    merge_options(cfg, read(*norm, 'test_cfg.bank_dataloader=train', 'test_evaluator.dsl=True'))
    assert cfg.test_evaluator.qb_norm == dict(k=1, beta=20)
    assert cfg.test_cfg.bank_dataloader == 'train'


def test_a_default_hook_that_the_config_does_not_repeat() -> None:
    cfg = Config(dict())
    merge_options(cfg, {'default_hooks.checkpoint.max_keep_ckpts': 3})
    assert cfg.default_hooks.checkpoint == dict(type='CheckpointHook', interval=1, max_keep_ckpts=3)


def test_modules_that_an_option_names_are_imported(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / 'named_by_an_option.py').write_text('raise ValueError("imported")')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r'^imported$'):
        merge_options(load(), {'custom_imports.imports': ['named_by_an_option']})


# --- variables of a config file ---


@pytest.mark.parametrize(
    ('config', 'option', 'keys'),
    [
        ('stan/k400_b16', 'class_names=a.txt', 'model.cls_head.class_names'),
        (
            'stan/k400_b16',
            'num_frames=16',
            ', '.join(
                f'{split}_dataloader.dataset.pipeline.0.sampler.num_frames'
                for split in ('train', 'val', 'test')
            ),
        ),
        (
            'stan/k400_b16',
            'train_pipeline.0.sampler.num_frames=16',
            'train_dataloader.dataset.pipeline.0.sampler.num_frames',
        ),
        (
            'stan/msrvtt_b32',
            'data_root=a',
            'train_dataloader.dataset.ann_file, train_dataloader.dataset.video_list, '
            'train_dataloader.dataset.data_prefix.video, val_dataloader.dataset.video_list, '
            'val_dataloader.dataset.data_prefix.video, test_dataloader.dataset.video_list, and 1 '
            'more',
        ),
        (
            'stan/msrvtt_b32',
            'videos.video=a',
            ', '.join(
                f'{split}_dataloader.dataset.data_prefix.video'
                for split in ('train', 'val', 'test')
            ),
        ),
    ],
)
def test_variables_are_used_up(config: str, option: str, keys: str) -> None:
    message = refused(option, config=config)
    assert message.startswith(f'--cfg-options {option.split("=")[0]} changes nothing: ')
    assert message.endswith(f'set the keys that hold its value now: {keys}')


def test_a_variable_that_code_of_the_user_reads(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / 'my_hook.py').write_text('def of(runner):\n    return runner.cfg.patience\n')
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'c.py').write_text("custom_imports = dict(imports=['my_hook'])\npatience, x = 3, 1")
    cfg = Config.fromfile(tmp_path / 'c.py')
    merge_options(cfg, dict(patience=5))
    assert cfg.patience == 5
    with pytest.raises(ValueError, match=r"'x' is a variable .*\(no key holds its value"):
        merge_options(cfg, dict(x=2))


def test_what_every_split_sets_again() -> None:
    cfg = load('dist/zero_shot/ucf101_b16_32f')
    with pytest.raises(ValueError, match=r'set test_splits\.split1\.ann_file, test_splits\.split2'):
        check_split_options(cfg, {'test_dataloader.dataset.ann_file': 'a.txt'})
    check_split_options(cfg, {'test_dataloader.dataset.skip_broken': True})
    check_split_options(load(), {'test_dataloader.dataset.ann_file': 'a.txt'})


# --- how pairs are read ---


def test_a_value_keeps_its_blanks() -> None:
    assert read('a.b="/my data/list.txt"') == {'a.b': '/my data/list.txt'}
    assert read('a=[1, 2]', 'b=None', 'c=1e-5') == dict(a=[1, 2], b=None, c=1e-5)


@pytest.mark.parametrize('pair', ['lr', 'a..b=1', '=1', 'a=[1'])
def test_a_pair_that_is_none(pair: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(pair)
    assert f'--cfg-options {pair}: ' in capsys.readouterr().err


def test_no_options() -> None:
    cfg = load()
    merge_options(cfg, argparse.Namespace(cfg_options=None).cfg_options)
    assert cfg.to_dict() == load().to_dict()
