from pathlib import Path

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

LR, DECAY = 1e-3, 0.1


class Tiny(nn.Module):
    """The parts that decide about decay: linear, norm, scale, table of positions, embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4))
        self.patch_embed = nn.Conv2d(3, 4, 2)
        self.positional_embedding = nn.Parameter(torch.zeros(5, 4))
        self.words = nn.Embedding(7, 4)
        self.branch = nn.Linear(4, 2)
        self.logit_scale = nn.Parameter(torch.zeros(()))


REST = dict(match=r'patch_embed|positional|words|logit_scale')
TOWER, BRANCH = dict(match=r'tower\.'), dict(match=r'branch\.', lr_mult=10)


def build(rules: list[dict], model: nn.Module | None = None, **paramwise) -> OptimWrapper:
    cfg = ConfigDict(
        type='OptimWrapper',
        constructor='mmstan.ParamGroups',
        optimizer=dict(type='AdamW', lr=LR, weight_decay=DECAY),
        paramwise_cfg=dict(rules=rules, **paramwise),
    )
    with DefaultScope.overwrite_default_scope('mmaction'):
        return build_optim_wrapper(model or Tiny(), cfg)


def settings(model: nn.Module, optim_wrapper: OptimWrapper) -> dict[str, tuple[float, float]]:
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        names[parameter]: (group['lr'] / LR, group['weight_decay'] / DECAY)
        for group in optim_wrapper.optimizer.param_groups
        for parameter in group['params']
    }


def test_parameters_with_the_same_values_share_a_group():
    model = Tiny()
    optim_wrapper = build([TOWER, BRANCH, REST], model)
    assert [group['name'] for group in optim_wrapper.optimizer.param_groups] == [
        'lr x1',
        'lr x1, no decay',
        'lr x10',
        'lr x10, no decay',
    ]
    assert all(type(group) is dict for group in optim_wrapper.optimizer.param_groups)
    assert settings(model, optim_wrapper) == {
        'tower.0.weight': (1, 1),
        'tower.0.bias': (1, 0),
        'tower.1.weight': (1, 0),
        'tower.1.bias': (1, 0),
        'tower.2.weight': (1, 1),
        'tower.2.bias': (1, 0),
        'patch_embed.weight': (1, 1),
        'patch_embed.bias': (1, 0),
        'positional_embedding': (1, 0),
        'words.weight': (1, 0),
        'branch.weight': (10, 1),
        'branch.bias': (10, 0),
        'logit_scale': (1, 0),
    }


def test_no_decay_and_decay_mult():
    model = Tiny()
    rules = [TOWER, dict(match='branch', decay_mult=0.5), REST]
    found = settings(model, build(rules, model, no_decay=[r'tower\.2']))
    assert found == settings(model, build(rules, model, no_decay=r'tower\.2'))
    assert found['tower.0.weight'] == (1, 1)
    assert found['tower.2.weight'] == (1, 0)
    assert found['branch.weight'] == (1, 0.5)
    assert found['branch.bias'] == (1, 0)


def test_frozen_by_a_rule_or_by_the_model():
    model = Tiny()
    model.words.requires_grad_(False)  # and no rule claims it
    rest = dict(match='patch_embed|positional|logit_scale')
    found = settings(model, build([dict(match='tower', frozen=True), BRANCH, rest], model))
    assert not any(name.startswith(('tower', 'words')) for name in found)
    assert not any(parameter.requires_grad for parameter in model.tower.parameters())
    assert model.branch.weight.requires_grad


@pytest.mark.parametrize(
    ('rules', 'message'),
    [
        ([TOWER, REST], 'no rule claims 2 parameters: branch.weight, branch.bias'),
        ([TOWER, dict(match='')], 'more than one rule claims 6 parameters: tower.0.weight'),
        ([dict(match=''), dict(match='towr')], r"no parameter matches rule\(match='towr'\)"),
        # Matched from the start: a name inside does not count.
        ([dict(match=''), dict(match='weight')], 'no parameter matches'),
        ([dict(match='', lr_mul=2)], "needs match; its keys can be .*'lr_mult'"),
        ([dict(lr_mult=2)], 'needs match'),
        ([dict(match='', lr_mult=0)], 'frozen=True'),
        ([dict(match='', frozen=True, lr_mult=2)], 'leaves no use'),
        ([], 'at least one'),
    ],
)
def test_mistakes_in_rules(rules: list[dict], message: str):
    with pytest.raises(ValueError, match=message):
        build(rules)


def test_optional_rule_may_match_nothing():
    assert (
        len(build([dict(match=''), dict(match='towr', optional=True)]).optimizer.param_groups) == 2
    )


@pytest.mark.parametrize(
    ('paramwise', 'message'),
    [(dict(no_decay=['towr']), "no_decay='towr'"), (dict(custom_keys={}), 'unknown keys')],
)
def test_mistakes_beside_rules(paramwise: dict, message: str):
    with pytest.raises(ValueError, match=message):
        build([dict(match='')], **paramwise)


def test_base_values_must_be_stated():
    cfg = ConfigDict(
        constructor='mmstan.ParamGroups',
        optimizer=dict(type='SGD', lr=1.0),
        paramwise_cfg=dict(rules=[dict(match='')]),
    )
    scope = DefaultScope.overwrite_default_scope('mmaction')
    with scope, pytest.raises(ValueError, match='weight_decay=None'):
        build_optim_wrapper(Tiny(), cfg)


def test_table_in_the_log(tmp_path: Path):
    MMLogger.get_instance('groups', log_file=tmp_path / 'log')
    build([TOWER, BRANCH, dict(match='patch|pos|logit'), dict(match='words', frozen=True)])
    table = (tmp_path / 'log').read_text().splitlines()
    lines = {line[:28].strip(): line.split()[-5:] for line in table}
    assert lines['lr x10'] == ['1', '8', '0.01', '0.1', 'branch.weight']
    assert lines['frozen'][-3:] == ['1', '28', 'words.weight']


def test_state_resumes_and_schedulers_keep_the_ratio():
    model = Tiny()
    optim_wrapper = build([TOWER, BRANCH, REST], model)
    scheduler = torch.optim.lr_scheduler.StepLR(optim_wrapper.optimizer, 1, gamma=0.5)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optim_wrapper.step()
    scheduler.step()
    other = build([TOWER, BRANCH, REST], Tiny())
    other.load_state_dict(optim_wrapper.state_dict())
    assert [group['lr'] for group in other.optimizer.param_groups] == pytest.approx(
        [LR / 2, LR / 2, LR * 5, LR * 5]
    )
    assert other.optimizer.param_groups[2]['name'] == 'lr x10'


class OneProcess(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.part, self.rest = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, inputs: torch.Tensor, data_samples: None = None, mode: str = 'loss') -> dict:
        return dict(loss=self.rest(self.part(inputs)).square().mean())


@pytest.mark.parametrize('find_unused_parameters', [False, True])
def test_freezing_behind_ddp(find_unused_parameters: bool, tmp_path: Path):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path / "store"}', rank=0, world_size=1
    )
    model = nn.parallel.DistributedDataParallel(
        OneProcess(), find_unused_parameters=find_unused_parameters
    )
    rules = [dict(match='part', frozen=True), dict(match='rest')]
    if not find_unused_parameters:
        with pytest.raises(ValueError, match=r'freeze 2 parameters .*find_unused_parameters=True'):
            build(rules, model)
        return
    optim_wrapper = build(rules, model)
    for _ in range(2):
        optim_wrapper.update_params(model(torch.ones(1, 2))['loss'])
    assert model.module.part.weight.grad is None
