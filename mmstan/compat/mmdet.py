"""MMDetection, which MMAction2's detectors need and nothing here does."""

import importlib.util
import sys
from pathlib import Path

from mmengine.utils.dl_utils import mmcv_full_available


def skip_mmpretrain_multimodal() -> bool:
    """MMPretrain 1.2's multimodal models cannot be imported with transformers 4.56 or newer.

    It imports them as soon as pycocotools is installed, which MMDetection needs. BLIP's text model
    then inherits from a class that was not found, so ``import mmdet.models`` ends in ``TypeError:
    NoneType takes no arguments``. No thread was found; :func:`skip_vindlu_on_new_transformers` is
    the same fault in MMAction2. The models become the placeholders that MMPretrain shows without
    pycocotools.
    """
    from mmaction.utils import dependency

    spec = importlib.util.find_spec('mmpretrain')
    wanted = ('pycocotools', 'transformers>=4.56.0')
    if spec is None or spec.origin is None or not all(map(dependency.satisfy_requirement, wanted)):
        return False
    # The one module that says so. To import it by its name would import all models before.
    name = 'mmpretrain.utils.dependency'
    if name not in sys.modules:
        path = Path(spec.origin).parent / 'utils' / 'dependency.py'
        own = importlib.util.spec_from_file_location(name, path)
        assert own is not None and own.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(own)
        own.loader.exec_module(sys.modules[name])
    flags = vars(sys.modules[name])
    found = flags['WITH_MULTIMODAL']
    flags['WITH_MULTIMODAL'] = False
    return found


def find_mmdet_problem() -> str | None:
    """Say why MMDetection cannot be used, without importing it; None if nothing is known."""
    if importlib.util.find_spec('mmdet') is None:
        return 'not installed'
    if not mmcv_full_available():
        return 'needs a full mmcv, and the one here has no compiled operators (mmcv-lite)'
    return None
