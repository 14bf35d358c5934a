"""Optimiser groups by regular expressions over parameter names; each parameter has one rule."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mmengine.config import ConfigDict
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmstan.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmstan.wording import name_a_few

# Embeddings (positions, class or message tokens, times) that are plain parameters of a module and
# not a torch.nn.Embedding are recognised by name.
_EMBEDDING = re.compile(r'embed|token|position')


@dataclass(frozen=True)
class Rule:
    """One entry of ``paramwise_cfg['rules']``: learning rate and decay of its parameters.

    ``match`` is matched from the start of the full parameter name (``re.match``). ``frozen`` takes
    the parameters out of training. A rule that matches nothing is an error unless ``optional``.
    """

    match: str
    lr_mult: float = 1.0
    decay_mult: float = 1.0
    frozen: bool = False
    optional: bool = False

    def __post_init__(self) -> None:
        if not self.lr_mult > 0 or not self.decay_mult >= 0:
            raise ValueError(
                f'{self}: lr_mult must be above 0 and decay_mult 0 or more; to keep parameters '
                f'as they are, write frozen=True'
            )
        if self.frozen and (self.lr_mult, self.decay_mult) != (1.0, 1.0):
            raise ValueError(f'{self}: frozen=True leaves no use for lr_mult and decay_mult')

    def __str__(self) -> str:
        given = [(f.name, getattr(self, f.name)) for f in fields(self)]
        return f'rule({", ".join(f"{k}={v!r}" for k, v in given if v != getattr(Rule, k, None))})'

    @property
    def label(self) -> str:
        """The name of this rule's group in the log, such as ``lr x10, no decay``."""
        decay = '' if self.decay_mult == 1 else f', decay x{self.decay_mult:g}'
        return f'lr x{self.lr_mult:g}{decay if self.decay_mult else ", no decay"}'


def parse_rules(paramwise_cfg: dict[str, Any] | None) -> tuple[list[Rule], list[str]]:
    """Read ``paramwise_cfg``; returns its rules and its additional ``no_decay`` patterns."""
    cfg = dict(paramwise_cfg or {})
    rules, no_decay = cfg.pop('rules', []), cfg.pop('no_decay', [])
    no_decay = [no_decay] if isinstance(no_decay, str) else list(no_decay)
    if cfg or not rules:
        raise ValueError(
            f'paramwise_cfg has rules={rules} and unknown keys {sorted(cfg)}; ParamGroups takes '
            f"rules, at least one (dict(match='') claims everything), and no_decay"
        )
    allowed = {field.name for field in fields(Rule)}
    for rule in rules:
        if 'match' not in rule or not set(rule) <= allowed:
            raise ValueError(f'rule {dict(rule)} needs match; its keys can be {sorted(allowed)}')
    return [Rule(**rule) for rule in rules], no_decay


def claim(names: Iterable[str], rules: Sequence[Rule]) -> dict[str, list[Rule]]:
    """Map each parameter name to the rules that match it; a rule without a match is an error."""
    claims = {name: [r for r in rules if re.match(r.match, name)] for name in names}
    used = {rule for claimed in claims.values() for rule in claimed}
    idle = [str(rule) for rule in rules if rule not in used and not rule.optional]
    if idle:
        raise ValueError(
            f'no parameter matches {"; ".join(idle)}: match is a regular expression from the start '
            f'of the name (the first is {next(iter(claims), None)!r}); change it or set '
            'optional=True'
        )
    return claims


def _check_claims(claims: dict[str, list[Rule]], trained: set[str], rules: Sequence[Rule]) -> None:
    """Refuse trained parameters without a rule, and parameters with several rules.

    Parameters that the model itself froze need no rule.
    """
    unclaimed = [name for name, claimed in claims.items() if not claimed and name in trained]
    doubly = [name for name, claimed in claims.items() if len(claimed) > 1]
    for names, what in ((unclaimed, 'no rule claims'), (doubly, 'more than one rule claims')):
        if names:
            raise ValueError(
                f'{what} {len(names)} parameters: {name_a_few(names)}; every trained parameter '
                'needs exactly one of optim_wrapper.paramwise_cfg.rules, which are '
                f'{"; ".join(map(str, rules))}'
            )


def decays(model: nn.Module, name: str, patterns: Sequence[str] = ()) -> bool:
    """Whether a parameter gets weight decay: norms, biases, scales and embeddings do not.

    No decay for vectors and scalars, weights of :class:`torch.nn.Embedding`, parameters with embed,
    token or position in their own name, and parameters whose full name matches one of
    ``patterns``.
    """
    owner, _, leaf = name.rpartition('.')
    flat = model.get_parameter(name).ndim <= 1
    table = isinstance(model.get_submodule(owner), nn.Embedding) or _EMBEDDING.search(leaf)
    return not (flat or table or any(re.match(pattern, name) for pattern in patterns))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ParamGroups(DefaultOptimWrapperConstructor):
    r"""Optimiser groups by rules: few groups, exactly one rule for each trained parameter.

    A trained parameter with no rule or several rules raises ``ValueError``. Parameters with the
    same multipliers share a group. Norms, biases, scales and embeddings do not decay
    (:func:`decays`), nor do parameters that ``no_decay`` matches. The log gets a table of the
    groups. Each group is a plain ``dict`` with a readable ``name``; ``torch.compile`` of the
    optimiser's step needs plain ones. MMEngine's ``custom_keys``, in contrast, match by substring,
    undo the no-decay rules and make a group for each parameter.

    Example::

        optim_wrapper = dict(
            type='OptimWrapper', constructor='mmstan.ParamGroups',
            optimizer=dict(type='AdamW', lr=8e-6, weight_decay=0.02),
            paramwise_cfg=dict(rules=[
                dict(match=r'backbone\.branches\.', lr_mult=10),
                dict(match=r'backbone\.tower\.'),
                dict(match=r'cls_head\.texts\.', frozen=True)]))
    """

    optimizer_cfg: dict[str, Any]

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        self.rules, self.no_decay = parse_rules(paramwise_cfg)
        super().__init__(optim_wrapper_cfg, dict(paramwise_cfg or {}))
        # MMEngine puts the groups into this dict; a ConfigDict would turn them into ConfigDicts.
        if isinstance(self.optimizer_cfg, ConfigDict):
            self.optimizer_cfg = self.optimizer_cfg.to_dict()
        if self.base_lr is None or self.base_wd is None:
            raise ValueError(
                f'optimizer has lr={self.base_lr}, weight_decay={self.base_wd}; ParamGroups '
                f'multiplies both: state them in optim_wrapper.optimizer'
            )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapped optimiser, and freeze the parameters of frozen rules."""
        if isinstance(model, DistributedDataParallel) and not model.find_unused_parameters:
            self._refuse_late_freezing(model.module)
        return super().__call__(model)

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Append the groups of ``module`` to ``params`` (called by MMEngine)."""
        claims = claim((name for name, _ in module.named_parameters()), self.rules)
        trained = {name for name, p in module.named_parameters() if p.requires_grad}
        _check_claims(claims, trained, self.rules)
        self._check_no_decay(claims)
        # One group for each pair of multipliers: rules with the same multipliers share it.
        grouped: dict[Rule, list[str]] = defaultdict(list)
        for name in (name for name in claims if name in trained):
            rule = claims[name][0]
            if rule.frozen:
                module.get_parameter(name).requires_grad_(False)
                continue
            decay_mult = rule.decay_mult if decays(module, name, self.no_decay) else 0.0
            grouped[Rule('', rule.lr_mult, decay_mult)].append(name)
        if not grouped:
            raise ValueError(
                'no parameter is left to train: the model or optim_wrapper.paramwise_cfg.rules '
                f'freeze all {len(claims)}'
            )
        # MMEngine logs the learning rate of group 0: let that be the configured one.
        order = sorted(grouped, key=lambda g: (g.lr_mult != 1, g.lr_mult, -g.decay_mult))
        params.extend(self._make_group(module, key, grouped[key]) for key in order)
        print_log(_format_table(params, [grouped[key] for key in order], module), logger='current')

    def _make_group(self, module: nn.Module, key: Rule, names: list[str]) -> dict[str, Any]:
        return dict(
            params=[module.get_parameter(name) for name in names],
            lr=self.base_lr * key.lr_mult,
            weight_decay=self.base_wd * key.decay_mult,
            name=key.label,
        )

    def _check_no_decay(self, names: Iterable[str]) -> None:
        for pattern in self.no_decay:
            if not any(re.match(pattern, name) for name in names):
                raise ValueError(f'no_decay={pattern!r} matches no parameter; correct or remove it')

    def _refuse_late_freezing(self, model: nn.Module) -> None:
        # DDP has noted the trained parameters by now, and would wait for gradients of frozen ones.
        claims = claim((name for name, _ in model.named_parameters()), self.rules)
        late = [
            name
            for name, rules in claims.items()
            if model.get_parameter(name).requires_grad and any(r.frozen for r in rules)
        ]
        if late:
            raise ValueError(
                f'rules freeze {len(late)} parameters ({name_a_few(late)}) that distributed '
                'training already waits for; freeze them in the model (frozen=True of the part), '
                'or set find_unused_parameters=True'
            )


def _format_table(groups: list[dict[str, Any]], names: list[list[str]], model: nn.Module) -> str:
    """Format a table, a group a line: name, numbers of tensors and parameters, rate, decay."""
    lines = [f'{"group":<28}{"tensors":>8}{"parameters":>13}{"lr":>10}{"decay":>10}  for example']
    for group, members in zip(groups, names):
        size = sum(p.numel() for p in group['params'])
        lines.append(
            f'{group["name"]:<28}{len(members):>8}{size:>13,}{group["lr"]:>10.2g}'
            f'{group["weight_decay"]:>10.2g}  {members[0]}'
        )
    frozen = [(name, p.numel()) for name, p in model.named_parameters() if not p.requires_grad]
    if frozen:
        size = sum(count for _, count in frozen)
        lines.append(f'{"frozen":<28}{len(frozen):>8}{size:>13,}{"":>20}  {frozen[0][0]}')
    return 'Optimiser groups:\n' + '\n'.join(lines)
