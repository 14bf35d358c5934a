"""Leaves the process to every test as the one before found it; what many need is made once."""

import gc
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.shortcuts import install
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.utils import ManagerMixin

import mmstan  # noqa: F401  (fixes MMAction2 before any test imports it)
from mmstan.compat.distributed import leave_group
from mmstan.datasets.moving_shapes import generate


def pytest_configure(config: pytest.Config) -> None:
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    install(patch)


@pytest.fixture(scope='module', autouse=True)
def small_heap() -> None:
    """Every data set of MMEngine collects garbage: let it pass over what lasts.

    That is a million objects of imported modules, and later what the session's fixtures hold:
    exported graphs made a collection take more than a second.
    """
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True)
def restored_state() -> Iterator[None]:
    """Fixed seeds and one thread on the way in; everything as before on the way out."""
    rng = random.getstate(), np.random.get_state(), torch.get_rng_state()
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    environment, start = dict(os.environ), torch.multiprocessing.get_start_method(allow_none=True)
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    yield
    leave_group()
    random.setstate(rng[0])
    np.random.set_state(rng[1])
    torch.set_rng_state(rng[2])
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    torch.multiprocessing.set_start_method(start, force=True)
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture(autouse=True)
def restored_managers() -> Iterator[None]:
    """MMEngine keeps scopes, loggers, message hubs and visualizers by name: forget new ones."""
    DefaultScope._instance_dict.clear()  # a fixture that many share may have set one
    before = {cls: set(cls._instance_dict) for cls in _managers(ManagerMixin)}
    yield
    for cls in _managers(ManagerMixin):
        for name in set(cls._instance_dict) - before.get(cls, set()):
            instance = cls._instance_dict.pop(name)
            for handler in instance.handlers if isinstance(instance, MMLogger) else ():
                handler.close()


@pytest.fixture(autouse=True)
def without_tf32(request: pytest.FixtureRequest) -> Iterator[None]:
    """Float32 is float32 on a GPU too, so that it can be compared with the CPU's."""
    if request.node.get_closest_marker('gpu') is None:
        yield
        return
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    yield
    for backend, allowed in zip(backends, before):
        backend.allow_tf32 = allowed


def _managers(cls: type) -> Iterator[type]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _managers(subclass)


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """Folder of a run, not made yet."""
    return tmp_path / 'work_dir'


@pytest.fixture(scope='session')
def moving_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny Moving Shapes, to be read only."""
    return generate(tmp_path_factory.mktemp('moving_shapes'), size='tiny', workers=1)


@pytest.fixture
def shapes(moving_shapes: Path) -> Path:
    """The folder above, where runs look for ``moving_shapes``."""
    return moving_shapes.parent
