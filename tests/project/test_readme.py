"""What the README and the pages of docs/ name is there."""

import itertools
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from apis.conftest import Files

import mmstan
from mmstan.apis.video_model import VideoModel
from mmstan.commands import main

pytest_plugins = ['apis.conftest']
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


def test_the_readme_is_short() -> None:
    assert len(TEXTS[Path('README.md')].splitlines()) <= 150


@pytest.mark.parametrize('path', PATHS)
def test_paths(path: str) -> None:
    known = any(PROJECT.glob(path)) or any(PROJECT.glob(f'{path}.md'))  # a toctree has no .md
    assert known or path in MMACTION2S or path.startswith('configs/ideas')


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
    name = re.sub(r'(?:dist|slurm)_(train|test)\.sh', r'\1.py', name)
    source = (PROJECT / name).read_text('utf-8')
    for shared in re.findall(r'from mmstan\.(cli|chat_options) import', source):
        source += (PROJECT / f'mmstan/{shared}.py').read_text('utf-8')
    quote = '' if name.endswith('.sh') else "'"
    options = re.findall(r'--[\w-]+', command)
    unknown = [option for option in options if f'{quote}{option}{quote}' not in source]
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


FENCES = re.compile(r'(?:<!-- not run: (\w.*) -->\n)?```(python|bash)\n(.*?)```', re.DOTALL)
RUN = {
    str(page): [(language, code) for reason, language, code in FENCES.findall(text) if not reason]
    for page, text in TEXTS.items()
}


def test_the_readme_begins_with_four_lines() -> None:
    _, language, code = FENCES.search(TEXTS[Path('README.md')]).groups()
    assert language == 'python' and len(code.splitlines()) == 4
    assert all(call in code for call in ('mmstan.load(', '.classify(', '.similarity('))


@pytest.fixture
def reader(
    tiny_files: Callable[[str], Files],
    clips: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A folder with the files that the pages name; configs are tiny, nothing is uploaded."""
    load = mmstan.load

    def load_tiny(source: str, weights: str | None = None, **options: Any) -> VideoModel:
        files = (source,) if weights is None else tiny_files(source)
        return load(*files, **dict(options, device='cpu', workers=0))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mmstan, 'load', load_tiny, raising=False)
    monkeypatch.setattr(VideoModel, 'push_to_hub', lambda model, name: f'hub/{name}')
    Path('videos').mkdir()
    names = ['video.mp4', 'a.mp4', 'b.mp4', 'film.mp4', 'videos/1.mp4', 'videos/2.mp4']
    for name, clip in zip(names, itertools.cycle(clips)):
        shutil.copy(clip, name)


@pytest.mark.parametrize('page', [page for page, blocks in RUN.items() if blocks])
def test_blocks_run(page: str, reader: None) -> None:
    """All that are not marked ``<!-- not run: REASON -->``; configs have a test above."""
    names: dict[str, Any] = {}
    for language, code in RUN[page]:
        if language == 'python' and 'dict(' not in code:
            exec(compile(code, page, 'exec'), names)
        for line in code.splitlines() if language == 'bash' else ():
            program, *arguments = shlex.split(line, comments=True)
            assert program == 'mmstan', f'{page}: mark the block of `{line}`, or let it run'
            run_command(arguments)


def run_command(arguments: list[str]) -> None:
    try:
        main(arguments)
    except SystemExit as end:
        assert not end.code, f'mmstan {shlex.join(arguments)}: {end.code}'
