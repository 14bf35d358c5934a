"""What the README names is there."""

import itertools
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
README = (PROJECT / 'README.md').read_text('utf-8')
MAKEFILE = (PROJECT / 'Makefile').read_text('utf-8')
BLOCKS = re.findall(r'```(\w+)\n(.*?)```', README, re.DOTALL)


def unfolded(pattern: str) -> list[str]:
    """``x{1,2}y`` -> ``x1y``, ``x2y``."""
    parts = [part.split(',') for part in re.split(r'[{}]', pattern)]
    choices = [part if i % 2 else [','.join(part)] for i, part in enumerate(parts)]
    return [''.join(choice) for choice in itertools.product(*choices)]


PATHS = sorted(
    {
        path
        for found in re.findall(r'(?:configs|tools|mmstan)/[\w/{},.*-]*[\w*}/]', README)
        for path in unfolded(found)
    }
)


@pytest.mark.parametrize('path', PATHS)
def test_paths(path: str) -> None:
    ours = any(PROJECT.glob(path))
    assert ours or path in ('tools/data', 'tools/data/kinetics', 'tools/data/sthv2')  # MMAction2's


@pytest.mark.parametrize('link', re.findall(r'\]\((?!https?://)([^)#]+)\)', README))
def test_links(link: str) -> None:
    assert (PROJECT / link).exists()


@pytest.mark.parametrize(
    'target', sorted(set(re.findall(r'(?:^|`)make ([a-z-]+)', README, re.MULTILINE)))
)
def test_make_targets(target: str) -> None:
    assert re.search(rf'^{target}:', MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize('path', re.findall(r'\$\(PYTHON\) (tools/\S+)', MAKEFILE))
def test_scripts_of_the_makefile(path: str) -> None:
    assert (PROJECT / path).is_file()


@pytest.mark.parametrize('code', [code for language, code in BLOCKS if language == 'python'])
def test_config_names_what_exists(code: str) -> None:
    from mmengine.config import Config

    from mmstan.config import check_arguments

    text = '\n'.join(line for line in code.splitlines() if not line.startswith('_base_'))
    cfg = Config.fromstring(text, '.py')
    assert cfg.custom_imports.imports == ['mmstan']
    check_arguments(cfg)
