"""Puts configs, tools and the model index into the package, as ``mmstan/.mim``.

Everything else stands in pyproject.toml. ``mim`` looks into ``.mim``. Upstream's recipe fills it by
looking at ``sys.argv``, which misses editable installs (PEP 660), and drops what is not code.
"""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """``build_py`` that adds ``.mim``: copies in a wheel, links in an editable install."""

    def run(self) -> None:
        """Build, then fill ``.mim``."""
        super().run()
        package = ROOT if self.editable_mode else Path(self.build_lib)
        folder = package / 'mmstan' / '.mim'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in SHIPPED:
            if (ROOT / name).exists():
                self._place(ROOT / name, folder / name)

    def _place(self, source: Path, target: Path) -> None:
        if self.editable_mode:
            try:
                target.symlink_to(os.path.relpath(source, target.parent))
                return
            except OSError:  # Windows without the right to make links
                pass
        if source.is_dir():
            ignored = shutil.ignore_patterns('__pycache__', '*.py[cod]')
            shutil.copytree(source, target, ignore=ignored)
        else:
            shutil.copy2(source, target)


setup(cmdclass={'build_py': BuildWithMim})
