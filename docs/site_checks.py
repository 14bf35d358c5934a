"""A Sphinx extension: a page that fetches from another machine is a warning, so the build fails."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

# Everything that a browser fetches by itself; a link (<a href>) waits for a click.
_FETCHED = re.compile(
    r'<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc="(?P<src>[^"]+)"'
    r'|<link\b(?![^>]*\srel="canonical")[^>]*?\shref="(?P<href>[^"]+)"'
    r'|(?:@import\s+(?:url\()?|url\()["\']?(?P<css>[^"\')\s]+)'
)


def find_outside_requests(text: str) -> list[str]:
    """Addresses on other machines that a browser fetches for a page (HTML) or style (CSS)."""
    found = (address for match in _FETCHED.finditer(text) for address in match.groups() if address)
    return sorted({address for address in found if re.match(r'(?:https?:)?//', address)})


def check_requests(app: Sphinx, error: Exception | None) -> None:
    """Warn of outside requests in the built pages."""
    if error is not None:
        return
    for path in sorted(Path(app.outdir).rglob('*')):
        if path.suffix in ('.html', '.css'):
            for address in find_outside_requests(path.read_text('utf-8')):
                logging.getLogger(__name__).warning('%s fetches %s', path.name, address)


def setup(app: Sphinx) -> dict[str, bool]:
    """Check after the build."""
    app.connect('build-finished', check_requests)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
