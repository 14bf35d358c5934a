"""The metafiles know every config, their figures are the models', and the READMEs say both."""

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.scripts import script

from mmstan.benchmark.model_figures import count_figures
from mmstan.benchmark.model_zoo import list_metafiles, read_metafile, render_pages

PROJECT = Path(__file__).parents[2]
FOLDERS = [str(path.parent.relative_to(PROJECT)) for path in list_metafiles(PROJECT)]
ENTRIES: dict[str, dict[str, Any]] = {
    entry['Config']: entry
    for path in list_metafiles(PROJECT)
    for entry in read_metafile(path)['Models']
}


def test_every_config_has_an_entry() -> None:
    configs = {
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / 'configs').rglob('*.py')
        if '_base_' not in path.parts
    }
    assert set(ENTRIES) == configs, 'python tools/model_zoo.py --figures adds what is missing'


@pytest.mark.parametrize('config', ENTRIES)
def test_entries_have_figures_and_sources(config: str) -> None:
    entry = ENTRIES[config]
    assert set(entry['Metadata']) == {'Frames', 'GMACs', 'Parameters', 'Trained'}
    assert 0 < entry['Metadata']['Trained'] <= entry['Metadata']['Parameters']
    frames = {int(number) for number in str(entry['Metadata']['Frames']).split(' + ')}
    named = re.search(r'_(\d+)f(_|$)', Path(config).stem)
    assert named is None or int(named[1]) in frames
    for reported in [*entry.get('Reported', []), *entry.get('Measured', [])]:
        assert set(reported) == {'Source', 'Figures'} and reported['Figures']


def test_shared_files_are_listed() -> None:
    text = (PROJECT / 'configs/README.md').read_text('utf-8')
    files = {path.name for path in (PROJECT / 'configs/_base_').glob('*.py')}
    assert not {name for name in files if name not in text}


def test_sizes_of_pretraining_are_those_of_the_metafile() -> None:
    text = (PROJECT / 'docs/pretraining.md').read_text('utf-8')
    rows = re.findall(r'^\| (\S+/\S+) \| ([\d.]+) M \|.* / (\d+) \|', text, re.MULTILINE)
    assert len(rows) == 6
    for tower, parameters, gmacs in rows:
        stem = tower.lower().replace('/', '').replace('-', '_')
        figures = ENTRIES[f'configs/mug_stan/pretrain/webvid10m_{stem}.py']['Metadata']
        assert float(parameters) == round(figures['Parameters'], 1), tower
        assert int(gmacs) == round(figures['GMACs']), tower


def test_tables_are_up_to_date() -> None:
    old = [path for path, text in render_pages(PROJECT).items() if path.read_text() != text]
    assert not old, 'run python tools/model_zoo.py'


@pytest.mark.parametrize('folder', FOLDERS)
def test_readmes_have_all_parts(folder: str) -> None:
    text = (PROJECT / folder / 'README.md').read_text('utf-8')
    title, method = re.fullmatch(r'# (.+)\n\n(.+?)\n\n## Configs\n.*', text, re.DOTALL).groups()
    assert len(method.splitlines()) <= 5 and '![' not in method
    metafile = read_metafile(PROJECT / folder / 'metafile.yml')
    collection = metafile['Collections'][0]
    assert (collection['Name'], collection['README']) == (title, f'{folder}/README.md')
    assert ('```bibtex\n@' in text) == ('Paper' in collection)


@pytest.mark.parametrize(
    ('folder', 'link'),
    [
        (folder, link)
        for folder in FOLDERS
        for link in re.findall(
            r'\]\((?!https?://)([^)#]+)\)', (PROJECT / folder / 'README.md').read_text('utf-8')
        )
    ],
)
def test_links(folder: str, link: str) -> None:
    assert (PROJECT / folder / link).is_file()


@pytest.mark.parametrize(
    'config',
    [
        'baselines/clip_mean/k400_b32',
        pytest.param('stan/msrvtt_b32', marks=pytest.mark.slow),
        pytest.param('mug_stan/msrvtt_b32', marks=pytest.mark.slow),
        pytest.param('xclip/k400_b32', marks=pytest.mark.slow),
        pytest.param('dist/ssv2_b16_8f', marks=pytest.mark.slow),
    ],
)
def test_figures_are_those_of_get_flops(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f'configs/{config}.py'
    monkeypatch.setattr(sys, 'argv', ['get_flops', str(PROJECT / name)])
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        script('get_flops').main()
    text = printed.getvalue()
    found = ENTRIES[name]['Metadata']
    assert found['GMACs'] == float(re.search(r'^GMACs +([\d.]+)', text, re.MULTILINE)[1])
    sides = re.findall(r'side: ([\d.]+) M parameters, ([\d.]+) M', text)
    for key, column in (('Parameters', 0), ('Trained', 1)):
        total = sum(float(side[column]) for side in sides)
        assert found[key] == pytest.approx(total, abs=0.011)  # two rounded ones
    frames = int(re.search(r'one view: (\d+) frames', text)[1])
    assert str(found['Frames']).split(' + ')[-1] == str(frames)


@pytest.mark.parametrize(
    ('config', 'frames'),
    [
        pytest.param('configs/mug_stan/zero_shot/k400_b16.py', 12, marks=pytest.mark.slow),
        ('configs/xclip/ablations/k400_b16_clip_one.py', 1),
    ],
)
def test_figures_are_of_the_test_loader(config: str, frames: int) -> None:
    """These test on another number of frames than their ``test_pipeline`` says."""
    assert count_figures(PROJECT / config) == ENTRIES[config]['Metadata']
    assert ENTRIES[config]['Metadata']['Frames'] == frames
