"""Every way in for a file of weights, each as a function of the file, on models of a second."""

import contextlib
import io
import itertools
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from helpers.scripts import script
from helpers.tiny_models import IMAGE, WORDS, reference
from helpers.tiny_runs import RandomClips, stock_config
from mmaction.apis import init_recognizer
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mmstan.models import ImageTower

_run = itertools.count()


@DATASETS.register_module()
class CaptionedClips(RandomClips):
    """The same clips with a caption each."""

    def get_data_info(self, index: int) -> dict[str, Any]:
        return dict(video_id=f'video{index}', captions=[f'clip {index}'])

    def __getitem__(self, index: int) -> dict[str, Any]:
        sample = super().__getitem__(index)
        for name, value in self.get_data_info(index).items():
            sample['data_samples'].set_field(value, name)
        return sample


class Doors:
    """Configs of a recognition and a retrieval model, and their weights, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        sizes, weights = dict(WORDS, vision_cfg=dict(IMAGE, layers=1)), folder / 'clip.pt'
        self.sizes = sizes
        torch.save(reference(sizes).state_dict(), weights)
        tower = dict(model=sizes, pretrained=str(weights))
        image = dict(type='mmstan.FrameEncoder', tower=dict(type='mmstan.ImageTower', **tower))
        text = dict(type='mmstan.TextTower', **tower)
        head = dict(type='mmstan.TextHead', class_names=['zero', 'one'], text_tower=text)
        neck = dict(type='mmstan.MeanPool')
        models = dict(
            recognition=dict(type='Recognizer3D', backbone=image, neck=neck, cls_head=head),
            retrieval=dict(
                type='mmstan.VideoTextModel',
                backbone=image,
                text_tower=text,
                head=dict(type='mmstan.RetrievalHead', interaction=dict(type='mmstan.Cosine')),
            ),
        )
        init_default_scope('mmaction')
        self.states: dict[str, dict[str, Tensor]] = {}
        for name, model in models.items():
            cfg = stock_config(folder / name)
            cfg.model = dict(model, data_preprocessor=cfg.model.data_preprocessor)
            cfg.default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=-1))
            cfg.custom_hooks = [dict(type='mmstan.PrepareResume')]
            if name == 'retrieval':
                cfg.test_dataloader.dataset.type = 'CaptionedClips'
                cfg.test_cfg = dict(type='mmstan.RetrievalTestLoop')
                cfg.test_evaluator = dict(type='mmstan.RetrievalMetric')
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
            cfg.dump(folder / f'{name}.py')
            self.states[name] = MODELS.build(cfg.model).state_dict()

    def open(self, door: str, file: Path) -> tuple[int, str]:
        """Exit status and everything that is said where ``file`` is given at ``door``."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = self._leave(lambda: ALL_DOORS[door](self, file), said)
        return status, said.getvalue()

    def _leave(self, enter: Callable[[], Any], said: io.StringIO) -> int:
        try:
            enter()
        except SystemExit as end:
            if isinstance(end.code, str):
                said.write(end.code)
            return end.code if isinstance(end.code, int) else 1
        except (ValueError, OSError) as error:  # from Python, an error is the message
            said.write(f'error: {error}')
            return 1
        return 0

    def command(self, name: str, kind: str, *arguments: Any, options: str = '') -> None:
        # MMEngine names its message hub by the second, so that two runs would share one.
        changes = [f'experiment_name=door_{next(_run)}', *options.split()]
        config = [str(self.folder / f'{kind}.py')]
        argv = [name, *config, *map(str, arguments), '--cfg-options', *changes]
        with mock.patch.object(sys, 'argv', argv):
            _script(name).main()

    def convert(self, file: Path) -> None:
        argv = ['convert_checkpoint.py', 'stan', str(file), str(self.folder / 'converted.pth')]
        with mock.patch.object(sys, 'argv', argv):
            _script('convert_checkpoint').main()

    def recognizer(self, file: Path) -> None:
        config = Config.fromfile(self.folder / 'recognition.py')
        init_recognizer(config, str(file), device='cpu')

    @contextlib.contextmanager
    def placed(self, file: Path, name: str) -> Iterator[None]:
        """``file`` under a name in a work dir."""
        target = self.folder / name
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        if file.is_file():
            shutil.copyfile(file, target)
        yield

    def cache(self, file: Path) -> None:
        with self.placed(file, 'retrieval/features.pth'):
            self.command('retrieve', 'retrieval', '--query', 'a clip')

    def pointer(self, file: Path) -> None:
        with self.placed(file, 'recognition/last_checkpoint'):
            self.command('train', 'recognition', '--resume')


_scripts: dict[str, Any] = {}


def _script(name: str) -> Any:
    return _scripts.setdefault(name, script(name))


DOORS: dict[str, Callable[[Doors, Path], Any]] = {
    'pretrained': lambda doors, file: ImageTower(doors.sizes, pretrained=str(file)).init_weights(),
    'test.py': lambda doors, file: doors.command('test', 'recognition', file),
    'load_from': lambda doors, file: doors.command(
        'train', 'recognition', options=f'load_from={file}'
    ),
    '--resume': lambda doors, file: doors.command('train', 'recognition', '--resume', file),
    'retrieve.py': lambda doors, file: doors.command(
        'retrieve', 'retrieval', file, '--no-cache', '--query', 'a clip'
    ),
    'visualize_features.py': lambda doors, file: doors.command(
        'visualize_features', 'recognition', file, '--videos', 1, '--index', 0
    ),
    'convert_checkpoint.py': Doors.convert,
    'init_recognizer': Doors.recognizer,
}
"""Doors at which a wrong file is an error."""
ALL_DOORS = {
    **DOORS,
    'test.py --unwrap': lambda doors, file: doors.command('test', 'recognition', file, '--unwrap'),
    'features.pth': Doors.cache,
    'last_checkpoint': Doors.pointer,
}
"""With the last two, it is said and the run goes on."""
