"""The site: ``make docs``. Its pages are Markdown files at their paths in the repository."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'docs')]

import mmstan  # noqa: E402

project = 'mmstan'
author = 'The authors of mmstan'
version = release = mmstan.__version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'site_checks']

# The source folder is the repository: links between docs/, configs/ and pages above hold in both.
root_doc = 'docs/index'
include_patterns = [
    'docs/**.md',
    'configs/**/README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
]
exclude_patterns = ['.*', 'build', 'data', 'work_dirs', 'mmstan', 'tests', 'tools', 'requirements']
exclude_patterns += ['docs/moving_shapes.md']  # the tables of docs/results.md, by the script

myst_enable_extensions = ['colon_fence']
myst_heading_anchors = 3
myst_links_external_new_tab = True

autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_preserve_defaults = True
autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'undoc-members': True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 88

html_theme = 'furo'
html_title = f'mmstan {version}'
html_additional_pages = {'index': 'to_index.html'}  # the pages lie in docs/
templates_path = ['_templates']
html_show_sphinx = False
html_copy_source = False
