"""Old import paths lead to the new places, with a warning."""

import importlib
import sys

import pytest

import mmstan.models.backbones
from mmstan.compat.moved import MODULES
from mmstan.methods.stan import STAN


@pytest.mark.parametrize('old', MODULES)
def test_an_old_module_is_the_new_one(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f'{old} has moved to {MODULES[old]}'):
        module = importlib.import_module(old)
    assert module is importlib.import_module(MODULES[old])
    assert module.__spec__.name == MODULES[old]  # it can be reloaded


@pytest.mark.parametrize('package', ['models', 'models.backbones'])
def test_a_class_is_found_where_it_was(package: str) -> None:
    with pytest.warns(DeprecationWarning, match=f'{package}.STAN has moved to mmstan.methods.stan'):
        found = importlib.import_module(f'mmstan.{package}').STAN
    assert found is STAN


def test_other_names_are_not_found() -> None:
    assert not hasattr(mmstan.models.backbones, 'MeanPol')
    assert not hasattr(mmstan.models.backbones, 'stann')
    with pytest.raises(ImportError, match='TextHead'):
        exec('from mmstan.models.backbones import TextHead')
