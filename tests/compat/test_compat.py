import importlib
import json
import os
import socket
import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import mmaction
import pytest
import torch
from helpers.tiny_runs import stock_config, stock_runner
from mmaction.models.heads import I3DHead, TimeSformerHead
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmaction.utils import dependency
from mmengine._strategy import SingleDeviceStrategy
from mmengine.config import ConfigDict
from mmengine.dist import get_backend, init_dist
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIMIZERS
from mmengine.utils.dl_utils import mmcv_full_available

from mmstan import compat
from mmstan.compat import imports, mmdet
from mmstan.compat.distributed import leave_group

on_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason='the fault shows without a GPU')

FAULTS = """
import json, pkgutil, tempfile, torch
from importlib import import_module
from importlib.util import find_spec
from mmengine.logging import HistoryBuffer
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import load_checkpoint

def drn():
    import_module('mmaction.models.localizers.drn.drn')

def vindlu():
    source = pkgutil.get_data('transformers', 'modeling_utils.py')
    assert source is None or b'apply_chunking_to_forward' in source

def blip():
    if find_spec('pycocotools'):
        vindlu()

def checkpoint():
    file = tempfile.NamedTemporaryFile(suffix='.pth')
    torch.save(dict(state_dict={}, history=HistoryBuffer([1.0], [1])), file.name)
    load_checkpoint(torch.nn.Identity(), file.name)

def misfit():
    file = tempfile.NamedTemporaryFile(suffix='.pth')
    torch.save(dict(state_dict=dict(other=torch.zeros(1))), file.name)
    load_checkpoint(torch.nn.Linear(1, 1), file.name)
    raise ValueError('nothing fits, and nothing is said')

def ddp():
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    MMDistributedDataParallel(torch.nn.Linear(1, 1), device_ids=[0])

def amp():
    AmpOptimWrapper(optimizer=torch.optim.SGD([torch.zeros(1)], lr=1.0))

def inferencer():
    from pathlib import Path
    from mmaction.apis.inferencers.actionrecog_inferencer import ActionRecogInferencer
    if ActionRecogInferencer._inputs_to_list(None, Path('a.mp4')) != ['a.mp4']:
        raise ValueError('a path is taken for something else')

def flexible():
    from types import SimpleNamespace as Some
    from mmengine.runner import FlexibleRunner
    saved = []
    run = Some(
        epoch=0, iter=4, experiment_name='', cfg=Some(pretty_text=''),
        train_dataloader=Some(dataset=None), message_hub=Some(state_dict=dict),
        strategy=Some(save_checkpoint=lambda **given: saved.append(given['extra_ckpt']['meta'])),
    )
    place = dict(epoch=1, iter=4)
    FlexibleRunner.save_checkpoint(run, '.', 'a.pth', meta=place, by_epoch=False)
    if saved[0]['iter'] != 4:
        raise ValueError('the place of the caller is lost')

def linear_head():
    from mmaction.models import TimeSformerHead
    from mmaction.structures import ActionDataSample
    head = TimeSformerHead(num_classes=2, in_channels=3)
    with torch.autocast('cpu', torch.bfloat16):
        head.loss(torch.ones(1, 3), [ActionDataSample().set_gt_label(1)])

def recognizer():
    from pathlib import Path
    from mmaction.apis.inference import inference_recognizer
    inference_recognizer(None, Path('.'), lambda data: data)

def two_runs():
    import tempfile, time
    from unittest import mock
    from mmengine.runner import Runner
    names = set()
    with tempfile.TemporaryDirectory() as folder, mock.patch('time.time', lambda: 1e9):
        for _ in range(2):
            runner = Runner(model=torch.nn.Linear(1, 1), work_dir=folder, log_level='ERROR')
            names.add(runner.experiment_name)
    if len(names) < 2:
        raise ValueError('two runs have one name')

def accumulated():
    from types import SimpleNamespace as Some
    from unittest import mock
    from mmengine.optim import OptimWrapper
    from mmengine.runner import Runner
    run = Some(_train_dataloader=dict(batch_size=4), world_size=1, logger=mock.Mock())
    run.param_schedulers = []
    sgd = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    wrapper = OptimWrapper(sgd, accumulative_counts=2)
    Runner.scale_lr(run, wrapper, dict(enable=True, base_batch_size=8))
    if sgd.param_groups[0]['lr'] != 1:
        raise ValueError('8 clips an update are taken for 4')

tries = dict(
    replace_missing_drn=drn,
    skip_vindlu_on_new_transformers=vindlu,
    skip_mmpretrain_multimodal=blip,
    restore_find_loader=lambda: pkgutil.find_loader('json'),
    load_checkpoints_of_runner=checkpoint,
    load_strictly=misfit,
    allow_launchers_without_gpu=lambda: torch.cuda.set_device(0),
    allow_ddp_on_cpu=ddp,
    allow_amp_without_gpu=amp,
    keep_place_in_checkpoints=flexible,
    count_bfloat16_scores=linear_head,
    keep_read_frames_in_inferencers=inferencer,
    accept_recognizer_inputs=recognizer,
    name_runs_apart=two_runs,
    count_accumulated_steps=accumulated,
)
faults = []
for name, attempt in tries.items():
    try:
        attempt()
    except Exception:
        faults.append(name)
print(json.dumps(faults))
"""


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, 'PYTHONPATH': paths, **environment},
        capture_output=True,
        text=True,
    )


COSTS = ('leave_transformers_for_later', 'silence_mmcv_lite', 'import_moved_modules')
"""Of no fault: time, a line on the console, and paths of before."""


def test_a_mend_is_on_where_its_fault_is_and_only_there() -> None:
    without_mmstan = run_python('-W', 'ignore', '-c', FAULTS)
    assert without_mmstan.returncode == 0, without_mmstan.stderr
    active = [name for name in compat.list_active() if name not in COSTS]
    assert json.loads(without_mmstan.stdout.splitlines()[-1]) == active


def test_mends_are_made_once() -> None:
    before = compat.list_active()
    assert not any(mend() for mend in compat._FIXES)
    compat.apply()
    assert compat.list_active() == before
    assert all(line.endswith('.') for line in before.values())


def test_upstream_train_script_needs_only_the_import(work_dir: Path, tmp_path: Path) -> None:
    changes = dict(
        custom_imports=dict(imports=['mmstan', 'helpers.tiny_runs'], allow_failed_imports=False)
    )
    stock_config(work_dir, **changes).dump(tmp_path / 'config.py')
    script = Path(mmaction.__file__).parent / '.mim' / 'tools' / 'train.py'
    run = run_python(str(script), str(tmp_path / 'config.py'))
    assert run.returncode == 0, run.stderr[-2000:]
    assert (work_dir / 'epoch_1.pth').is_file()


def test_the_import_leaves_models_for_later() -> None:
    run = run_python('-c', 'import sys, mmstan; print("mmaction.models" in sys.modules)')
    assert run.stdout.splitlines()[-1] == 'False', run.stderr


def test_missing_mmcv_says_what_to_type() -> None:
    run = run_python('-c', 'import sys; sys.modules["mmcv"] = None; import mmstan')
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].endswith('pip install "mmcv-lite>=2.0,<2.2"')


@pytest.mark.parametrize('version', ['1.7.2', '2.2.0', '2.3.6'])
def test_mmcv_that_mmaction_refuses_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr('mmcv.__version__', version)
    with pytest.raises(ImportError, match=rf'mmcv {version} is installed: pip uninstall'):
        compat.apply()


@pytest.mark.parametrize('version', ['2.0.0', '2.1.0'])
def test_mmcv_that_mmaction_takes_passes(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr('mmcv.__version__', version)
    compat.apply()


def test_missing_importlib_metadata_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'importlib_metadata', None)
    with pytest.raises(ImportError, match='pip install importlib-metadata'):
        compat.apply()


def test_models_import_and_drn_says_where_it_is() -> None:
    localizers = importlib.import_module('mmaction.models.localizers')
    if 'replace_missing_drn' in compat.list_active():
        with pytest.raises(ImportError, match='install MMAction2 from a source checkout'):
            localizers.DRN()


def test_drn_of_a_source_checkout_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ('', '.drn'):
        monkeypatch.delitem(sys.modules, f'mmaction.models.localizers.drn{name}', raising=False)
    folder = tmp_path / 'models' / 'localizers' / 'drn'
    folder.mkdir(parents=True)
    (folder / 'drn.py').touch()
    monkeypatch.setattr(mmaction, '__file__', str(tmp_path / '__init__.py'))
    assert not imports.replace_missing_drn()
    assert 'mmaction.models.localizers.drn' not in sys.modules


@pytest.mark.parametrize('new_transformers', [False, True])
def test_vindlu_is_switched_off_for_new_transformers_only(
    monkeypatch: pytest.MonkeyPatch, new_transformers: bool
) -> None:
    monkeypatch.setattr(dependency, 'WITH_MULTIMODAL', True)
    monkeypatch.setattr(dependency, 'satisfy_requirement', lambda requirement: new_transformers)
    assert imports.skip_vindlu_on_new_transformers() is new_transformers
    assert dependency.WITH_MULTIMODAL is not new_transformers


@pytest.mark.parametrize('both', [False, True])
def test_mmpretrains_multimodal_models_are_switched_off_without_importing_them(
    monkeypatch: pytest.MonkeyPatch, both: bool
) -> None:
    name = 'mmpretrain.utils.dependency'
    wanted: list[str] = []

    def satisfy(requirement: str) -> bool:
        wanted.append(requirement)
        return both

    monkeypatch.setattr(dependency, 'satisfy_requirement', satisfy)
    module = ModuleType(name)
    vars(module)['WITH_MULTIMODAL'] = True
    monkeypatch.setitem(sys.modules, name, module)
    assert mmdet.skip_mmpretrain_multimodal() is both
    assert vars(module)['WITH_MULTIMODAL'] is not both
    assert not mmdet.skip_mmpretrain_multimodal()
    assert set(wanted) <= {'pycocotools', 'transformers>=4.56.0'}
    if both:  # MMPretrain's own module, found by its path: it has no pycocotools here, or has it
        monkeypatch.delitem(sys.modules, name)
        before = set(sys.modules)
        mmdet.skip_mmpretrain_multimodal()
        assert not sys.modules[name].WITH_MULTIMODAL  # type: ignore[attr-defined]
        assert not {x for x in sys.modules if x.startswith('mmpretrain.models')} - before


@pytest.mark.skipif(dependency.WITH_MULTIMODAL, reason='VindLU works with this transformers')
def test_vindlu_says_what_it_needs() -> None:
    with pytest.raises(ImportError, match='multi-modal dependencies'):
        MODELS.build(dict(type='VindLURetrieval'))


def test_removed_find_loader_is_replaced_for_mmengine(monkeypatch: pytest.MonkeyPatch) -> None:
    misc = importlib.import_module('mmengine.utils.dl_utils.misc')
    monkeypatch.setattr(misc, 'pkgutil', ModuleType('pkgutil'))
    with pytest.raises(AttributeError):
        mmcv_full_available()
    assert imports.restore_find_loader()
    assert mmcv_full_available() is (importlib.util.find_spec('mmcv._ext') is not None)


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment of a launcher that starts one process."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    for name, value in dict(
        RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', SLURM_PROCID='0', SLURM_NTASKS='1',
        SLURM_NODELIST='localhost', SLURM_LOCALID='0', OMPI_COMM_WORLD_LOCAL_RANK='0',
        OMPI_COMM_WORLD_SIZE='1', OMPI_COMM_WORLD_RANK='0', MASTER_ADDR='127.0.0.1',
        MASTER_PORT=port, OMP_NUM_THREADS='1', MKL_NUM_THREADS='1',
    ).items():  # fmt: skip
        monkeypatch.setenv(name, value)


@on_cpu
@pytest.mark.usefixtures('one_process')
@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_launchers_fall_back_to_gloo(launcher: str) -> None:
    init_dist(launcher, backend='nccl')
    assert get_backend() == 'gloo'


@on_cpu
@pytest.mark.usefixtures('one_process')
def test_runner_trains_distributed_on_cpu(work_dir: Path) -> None:
    runner = stock_runner(work_dir, launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='nccl')))
    assert is_model_wrapper(runner.model)
    runner.train()
    assert runner.epoch == 1


@on_cpu
@pytest.mark.usefixtures('one_process')
@pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='counts threads as Linux does')
def test_no_gloo_thread_outlives_a_run(work_dir: Path) -> None:
    """A DDP model in a cycle, as MMEngine's Runner is one, holds the group and its threads."""
    runner = stock_runner(work_dir, launcher='pytorch', env_cfg=dict(dist_cfg=dict(backend='nccl')))
    runner.itself = runner
    del runner
    assert gloo_threads()
    leave_group()
    assert not gloo_threads()


def gloo_threads() -> list[str]:
    names = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]
    return [name for name in names if 'gloo' in name]


@MODELS.register_module()
class FloatHead(I3DHead):
    """Casts its scores, as heads must under bfloat16: MMAction2 takes them to numpy."""

    def forward(self, *args: object, **kwargs: object) -> torch.Tensor:
        scores = super().forward(*args, **kwargs)
        self.seen = scores.dtype
        return scores.float()


@on_cpu
@pytest.mark.parametrize('dtype', [None, 'float16', 'bfloat16'])
def test_amp_runs_in_bfloat16_on_cpu(work_dir: Path, dtype: str | None) -> None:
    changes = {'model.cls_head.type': 'FloatHead', 'optim_wrapper.type': 'AmpOptimWrapper'}
    runner = stock_runner(work_dir, **changes, **{'optim_wrapper.dtype': dtype}, val_cfg=None,
                          val_dataloader=None, val_evaluator=None)  # fmt: skip
    before = runner.model.cls_head.fc_cls.weight.clone()
    runner.train()
    assert runner.model.cls_head.seen == torch.bfloat16
    assert not torch.equal(runner.model.cls_head.fc_cls.weight, before)


def test_a_linear_head_counts_scores_in_bfloat16() -> None:
    head = TimeSformerHead(num_classes=2, in_channels=3)
    with torch.autocast('cpu', torch.bfloat16):
        losses = head.loss(torch.ones(1, 3), [ActionDataSample().set_gt_label(1)])
    assert losses['loss_cls'].dtype == torch.float32


def test_runs_of_one_second_have_names_of_their_own(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('time.time', lambda: 1e9)
    runs = [stock_runner(work_dir) for _ in range(2)]
    strategies = [SingleDeviceStrategy(work_dir=str(work_dir)) for _ in range(2)]
    stamps = [datetime.strptime(run.timestamp, '%Y%m%d_%H%M%S') for run in (*runs, *strategies)]
    assert [(b - a).seconds for a, b in pairwise(stamps)] == [1, 1, 1]
    assert runs[0].message_hub is not runs[1].message_hub
    assert len({run.log_dir for run in runs}) == 2


def test_scaled_learning_rates_count_accumulated_steps(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        'mmengine.logging.print_log', lambda message, *_, **__: said.append(message)
    )
    scale = ConfigDict(enable=True, base_batch_size=8)  # an update has half as many clips, 2 x 2
    runner = stock_runner(work_dir)
    strategy = SingleDeviceStrategy(work_dir=str(work_dir), auto_scale_lr=scale)
    strategy.dispatch_kwargs = dict(train_micro_batch_size_per_gpu=2)
    optimizers = [torch.optim.SGD([torch.zeros(1)], lr=1.0) for _ in range(3)]
    alone, one_of_several, strategy.optim_wrapper = (
        OptimWrapper(optimizer, accumulative_counts=2) for optimizer in optimizers
    )
    runner.scale_lr(alone, scale)
    runner.scale_lr(OptimWrapperDict(a=one_of_several), scale)
    strategy._scale_lr()
    assert [optimizer.param_groups[0]['lr'] for optimizer in optimizers] == [0.5] * 3
    assert scale.base_batch_size == strategy._auto_scale_lr.base_batch_size == 8
    assert sum('counts the 2 accumulated steps' in message for message in said) == 3


def test_adafactor_of_transformers_is_registered_later() -> None:
    transformers = pytest.importorskip('transformers')
    assert OPTIMIZERS.get('Adafactor') is transformers.Adafactor
    assert OPTIMIZERS.get('TorchAdafactor') is torch.optim.Adafactor
