"""A Sphinx extension: an outside request and a public name without a page fail the build."""

from __future__ import annotations

import importlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

PACKAGE = Path(__file__).parents[1] / 'mmstan'
# Everything that a browser fetches by itself; a link (<a href>) waits for a click.
_FETCHED = re.compile(
    r'<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc="(?P<src>[^"]+)"'
    r'|<link\b(?![^>]*\srel="canonical")[^>]*?\shref="(?P<href>[^"]+)"'
    r'|(?:@import\s+(?:url\()?|url\()["\']?(?P<css>[^"\')\s]+)'
)


def list_public_names() -> dict[str, Any]:
    """Full name -> object of all that packages of mmstan list in their ``__all__``.

    Names that a package imports when they are asked for become attributes, as autodoc needs them.
    """
    found = {}
    for path in sorted(PACKAGE.rglob('__init__.py')):
        if '.mim' in path.parts:
            continue
        module = importlib.import_module('.'.join(path.parent.relative_to(PACKAGE.parent).parts))
        for name in set(getattr(module, '__all__', ())) - {'__version__'}:
            found[f'{module.__name__}.{name}'] = value = getattr(module, name)
            setattr(module, name, value)
    return found


def find_undocumented(names: dict[str, Any], documented: Collection[str]) -> list[str]:
    """The names without a page.

    A name that several packages export is on the page of one, or of the module that defines it.
    """
    there = {id(value) for name, value in names.items() if name in documented}
    return sorted(
        name
        for name, value in names.items()
        if id(value) not in there and _name_origin(value) not in documented
    )


def _name_origin(value: Any) -> str:
    return f'{getattr(value, "__module__", "")}.{getattr(value, "__qualname__", "")}'


def find_outside_requests(text: str) -> list[str]:
    """Addresses on other machines that a browser fetches for a page (HTML) or style (CSS)."""
    found = (address for match in _FETCHED.finditer(text) for address in match.groups() if address)
    return sorted({address for address in found if re.match(r'(?:https?:)?//', address)})


def check_names(app: Sphinx, env: Any) -> None:
    """Warn of public names without a page."""
    documented = env.get_domain('py').data['objects']
    for name in find_undocumented(list_public_names(), documented):
        logging.getLogger(__name__).warning('%s is on no page of docs/api', name)


def check_requests(app: Sphinx, error: Exception | None) -> None:
    """Warn of outside requests in the built pages."""
    if error is not None:
        return
    for path in sorted(Path(app.outdir).rglob('*')):
        if path.suffix in ('.html', '.css'):
            for address in find_outside_requests(path.read_text('utf-8')):
                logging.getLogger(__name__).warning('%s fetches %s', path.name, address)


def setup(app: Sphinx) -> dict[str, bool]:
    """Import lazy names before the build, check during and after it."""
    list_public_names()
    app.connect('env-check-consistency', check_names)
    app.connect('build-finished', check_requests)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
