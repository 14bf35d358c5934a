"""Fixes for importing MMAction2."""

import importlib.util
import re
import sys
import warnings
from importlib.abc import Loader
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from mmengine.utils import digit_version

_MMCV = 'pip install "mmcv-lite>=2.0,<2.2"'


def require_mmcv() -> None:
    """Require mmcv or mmcv-lite 2.0 to 2.1, which MMAction2 1.2 asserts (mmaction2#2852, open).

    mmstan requires neither package at installation: both own the folder ``mmcv``, so installing one
    damages the other.
    """
    try:
        import mmcv
    except ModuleNotFoundError as error:
        if error.name != 'mmcv':
            raise
        raise ImportError(
            f'MMAction2 needs mmcv or mmcv-lite 2.0 to 2.1, and neither is installed: {_MMCV}'
        ) from None
    if not digit_version('2.0.0rc4') <= digit_version(mmcv.__version__) < digit_version('2.2.0'):
        raise ImportError(
            f'MMAction2 1.2 needs mmcv or mmcv-lite 2.0 to 2.1, and mmcv {mmcv.__version__} is '
            f'installed: pip uninstall -y mmcv mmcv-lite && {_MMCV}'
        )


def require_importlib_metadata() -> None:
    """Require importlib-metadata, which MMAction2 1.2 imports and does not declare."""
    if importlib.util.find_spec('importlib_metadata') is None:
        raise ImportError(
            'MMAction2 1.2 imports importlib_metadata without declaring it, and it is not '
            'installed: pip install importlib-metadata'
        )


def replace_missing_drn() -> bool:
    """MMAction2 1.2.0's wheel lacks ``models/localizers/drn`` (mmaction2#2714, open).

    ``import mmaction.models`` therefore fails; installs from a source checkout have the folder. A
    placeholder replaces the package. Its only class, DRN, raises an error when it is built.
    """
    import mmaction

    name = 'mmaction.models.localizers.drn'
    folder = Path(mmaction.__file__).parent / 'models' / 'localizers' / 'drn'
    # By path: find_spec would import the parent packages, and these fail.
    if name in sys.modules or (folder / 'drn.py').exists():
        return False

    class DRN:
        """Replaces the localizer that the wheel does not have."""

        def __init__(self, *args: object, **kwargs: object) -> NoReturn:
            raise ImportError(
                'DRN is missing from the published MMAction2 1.2.0: install MMAction2 from a '
                'source checkout (pip install -e) to use it'
            )

    package, module = ModuleType(name), ModuleType(f'{name}.drn')
    package.__path__ = []
    vars(module)['DRN'] = DRN
    sys.modules.update({name: package, f'{name}.drn': module})
    return True


def leave_transformers_for_later() -> bool:
    """MMEngine 0.10 imports transformers at every start, for one optimiser.

    That costs a second, and several where peft is installed. :mod:`mmstan.compat.adafactor`
    registers the optimiser when the first one is asked for.
    """
    if {'transformers', 'mmengine.optim.optimizer.builder'} & sys.modules.keys():
        return False
    # An import of it fails meanwhile.
    sys.modules['transformers'] = None  # type: ignore[assignment]
    try:
        import mmengine.optim  # noqa: F401
    finally:
        del sys.modules['transformers']
    from mmengine.registry import OPTIMIZERS

    # A new list: registries without locations share one.
    OPTIMIZERS._locations = [*OPTIMIZERS._locations, 'mmstan.compat.adafactor']
    return True


def silence_mmcv_lite() -> bool:
    """mmcv-lite warns of an operator that it lacks, ``MultiScaleDeformableAttention``, at import.

    Nothing of MMAction2 or mmstan reads it, and the warning stands before every command's output.
    """
    message = 'Fail to import ``MultiScaleDeformableAttention``'
    known = (
        pattern.pattern for _, pattern, *_ in warnings.filters if isinstance(pattern, re.Pattern)
    )
    if message in known:
        return False
    warnings.filterwarnings('ignore', message=message)
    return True


def skip_vindlu_on_new_transformers() -> bool:
    """MMAction2 1.2.0's VindLU cannot be imported with transformers 4.56 or newer.

    Three helpers left ``transformers.modeling_utils`` in that release, and MMAction2 imports VindLU
    as soon as transformers is installed, so ``import mmaction.models`` fails. No thread at
    MMAction2 was found; xinyu1205/recognize-anything#219 is the same. VindLU becomes the
    placeholder that MMAction2 shows without transformers.
    """
    from mmaction.utils import dependency

    if not dependency.WITH_MULTIMODAL or not dependency.satisfy_requirement('transformers>=4.56.0'):
        return False
    dependency.WITH_MULTIMODAL = False
    return True


def restore_find_loader() -> bool:
    """MMEngine 0.10.7 calls ``pkgutil.find_loader``, removed in Python 3.14 (cpython#120581).

    Every optimizer with ``paramwise_cfg`` calls it. Python 3.12 and 3.13 only warn.
    """
    from mmengine.utils.dl_utils import misc

    if hasattr(misc.pkgutil, 'find_loader'):
        return False

    def find_loader(fullname: str) -> Loader | None:
        spec = importlib.util.find_spec(fullname)
        return spec.loader if spec is not None else None

    # A separate module for MMEngine's one use: all other packages still see Python's pkgutil.
    placeholder = ModuleType('pkgutil')
    vars(placeholder)['find_loader'] = find_loader
    misc.pkgutil = placeholder
    return True
