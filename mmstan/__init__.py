"""mmstan: image-language models turned into video models, as a plugin for MMAction2.

``custom_imports = dict(imports=['mmstan'])`` in a config is all that MMAction2 needs: importing
this package fixes MMAction2 1.2 for a current stack (:mod:`mmstan.compat`) and makes mmstan's
registries children of MMAction2's (:mod:`mmstan.registry`).

``mmstan.load`` makes a model ready to use, see :mod:`mmstan.apis`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = '0.2.0'  # setup reads this line without importing the package

from mmstan import compat

compat.apply()

from mmstan import registry  # noqa: E402  (MMAction2 can be imported only once it is mended)

if TYPE_CHECKING:
    from mmstan.apis.scores import Scores
    from mmstan.apis.search import SearchIndex
    from mmstan.apis.sources import load
    from mmstan.apis.stream import Segment
    from mmstan.apis.video_model import VideoModel

__all__ = [
    'Scores',
    'SearchIndex',
    'Segment',
    'VideoModel',
    '__version__',
    'compat',
    'load',
    'registry',
]

# Imported when they are asked for, since a training needs none of them.
_LATER = dict(
    load='mmstan.apis.sources',
    VideoModel='mmstan.apis.video_model',
    Scores='mmstan.apis.scores',
    SearchIndex='mmstan.apis.search',
    Segment='mmstan.apis.stream',
)


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(_LATER[name]), name)
