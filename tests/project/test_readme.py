"""What the README and the pages of docs/ name is there."""

import itertools
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
TEXTS = {
    path.relative_to(PROJECT): path.read_text('utf-8')
    for path in [
        PROJECT / 'README.md',
        PROJECT / 'CONTRIBUTING.md',
        *sorted(PROJECT.glob('docs/*.md')),
    ]
}
TEXT = '\n'.join(TEXTS.values())
MAKEFILE = (PROJECT / 'Makefile').read_text('utf-8')
BLOCKS = re.findall(r'```(\w+)\n(.*?)```', TEXT, re.DOTALL)
MMACTION2S = [
    f'tools/data/{name}'.rstrip('/') for name in ('', 'hmdb51', 'kinetics', 'sthv2', 'ucf101')
]


def unfolded(pattern: str) -> list[str]:
    """``x{1,2}y`` -> ``x1y``, ``x2y``."""
    parts = [part.split(',') for part in re.split(r'[{}]', pattern)]
    choices = [part if i % 2 else [','.join(part)] for i, part in enumerate(parts)]
    return [''.join(choice) for choice in itertools.product(*choices)]


PATHS = sorted(
    {
        path
        for found in re.findall(r'(?:configs|tools|mmstan)/[\w/{},.*-]*[\w*}/]', TEXT)
        for path in unfolded(found)
    }
)


@pytest.mark.parametrize('path', PATHS)
def test_paths(path: str) -> None:
    assert any(PROJECT.glob(path)) or path in MMACTION2S or path.startswith('configs/ideas')


@pytest.mark.parametrize(
    ('page', 'link'),
    [
        (page, link)
        for page, text in TEXTS.items()
        for link in re.findall(r'\]\((?!https?://)([^)#]+)\)', text)
    ],
)
def test_links(page: Path, link: str) -> None:
    assert (PROJECT / page.parent / link).exists()


COMMANDS = sorted(
    line.partition('#')[0].strip()
    for language, code in BLOCKS
    if language == 'bash'
    for line in code.replace('\\\n', ' ').splitlines()
    if ' tools/' in line
)


@pytest.mark.parametrize('command', COMMANDS)
def test_options(command: str) -> None:
    """What a command is given, the tool knows."""
    name = re.search(r' (tools/[\w/]+\.(?:py|sh))', command)[1]
    name = {'tools/dist_train.sh': 'tools/train.py', 'tools/dist_test.sh': 'tools/test.py'}.get(
        name, name
    )
    source = (PROJECT / name).read_text('utf-8')
    if 'from mmstan.cli import' in source:
        source += (PROJECT / 'mmstan/cli.py').read_text('utf-8')
    unknown = [option for option in re.findall(r'--[\w-]+', command) if f"'{option}'" not in source]
    assert not unknown


@pytest.mark.parametrize(
    'target', sorted(set(re.findall(r'(?:^|`)make ([a-z-]+)', TEXT, re.MULTILINE)))
)
def test_make_targets(target: str) -> None:
    assert re.search(rf'^{target}:', MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize('path', re.findall(r'\$\(PYTHON\) (tools/\S+)', MAKEFILE))
def test_scripts_of_the_makefile(path: str) -> None:
    assert (PROJECT / path).is_file()


CONFIGS = [code for language, code in BLOCKS if language == 'python' and 'dict(' in code]


@pytest.mark.parametrize('code', CONFIGS)
def test_config_names_what_exists(code: str) -> None:
    from mmengine.config import Config

    from mmstan.config.checks import check_arguments

    code = code.replace("'../", "'configs/").replace("'configs/", f"'{PROJECT}/configs/")
    stock = "_base_ = ['slowonly"  # MMAction2's
    text = '\n'.join(line for line in code.splitlines() if not line.startswith(stock))
    cfg = Config.fromstring(text.replace(", 'ideas.gru'", ''), '.py')  # the reader's own
    assert "_base_ = ['" in text or cfg.custom_imports.imports == ['mmstan']
    check_arguments(cfg)
