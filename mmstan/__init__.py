"""mmstan: image-language models turned into video models, as a plugin for MMAction2.

``custom_imports = dict(imports=['mmstan'])`` in a config is all that MMAction2 needs: importing
this package fixes MMAction2 1.2 for a current stack (:mod:`mmstan.compat`) and makes mmstan's
registries children of MMAction2's (:mod:`mmstan.registry`).
"""

__version__ = '0.2.0'  # setup reads this line without importing the package

from mmstan import compat

compat.apply()

from mmstan import registry  # noqa: E402  (MMAction2 can be imported only once it is mended)

__all__ = ['__version__', 'compat', 'registry']
