"""``python -m mmstan.doctor``: report installed packages, active fixes and conflicts.

The exit status is 1 if something that mmstan needs is broken, else 0.
"""

import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Literal

from mmengine.utils import digit_version
from packaging.requirements import Requirement

from mmstan import compat
from mmstan.compat.mmdet import find_mmdet_problem
from mmstan.wording import write_on_one_line

Versions = Mapping[str, str]
SHOWN = (
    'mmstan', 'torch', 'torchvision', 'mmengine', 'mmcv', 'mmcv-lite', 'mmaction2', 'mmpretrain',
    'mmdet', 'open_clip_torch', 'numpy', 'transformers', 'setuptools', 'importlib-metadata',
    'opencv-python', 'opencv-contrib-python', 'av', 'decord', 'torchcodec', 'imgaug', 'accelerate',
    'sentencepiece', 'bitsandbytes', 'gradio',
)  # fmt: skip


_SHARED_MEMORY = 1 << 30  # bytes; docker gives 64 MB, a batch of 128 clips takes 230


@dataclass(frozen=True)
class Finding:
    """A conflict: ``broken`` stops mmstan, ``note`` stops a part of another package."""

    level: Literal['broken', 'note']
    text: str


def _at_least(name: str, version: str) -> Callable[[Versions], bool]:
    return lambda found: name in found and digit_version(found[name]) >= digit_version(version)


# Known conflicts: (whether it applies to the installed versions, its report).
KNOWN_BAD: tuple[tuple[Callable[[Versions], bool], Finding], ...] = (
    (
        lambda found: 'mmcv' in found and 'mmcv-lite' in found,
        Finding(
            'broken',
            'mmcv and mmcv-lite are both installed and overwrite each other: '
            'pip uninstall -y mmcv mmcv-lite, then install one of them',
        ),
    ),
    (
        lambda found: sys.version_info >= (3, 12) and 'setuptools' not in found,
        Finding(
            'broken',
            'MMEngine imports distutils, which Python 3.12 removed: pip install "setuptools>=77"',
        ),
    ),
    (
        _at_least('setuptools', '82'),
        Finding(
            'note',
            "setuptools 82 has no pkg_resources: configs with `mmaction::` bases and OpenAI's clip "
            'need setuptools<81 (no config of mmstan does)',
        ),
    ),
    (
        _at_least('numpy', '2'),
        Finding(
            'note',
            "MMAction2's ColorJitter overflows on NumPy 2 and its ImgAug breaks NumPy for the "
            'whole process: keep both out of pipelines',
        ),
    ),
    (
        lambda found: 'decord' not in found,
        Finding('note', 'stock DecordInit pipelines need decord; ReadFrames of mmstan does not'),
    ),
)


def installed() -> dict[str, str]:
    """Package -> version, for the packages in :data:`SHOWN` that are installed."""
    found = {}
    for name in SHOWN:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def known_bad(versions: Versions) -> list[Finding]:
    """The findings of :data:`KNOWN_BAD` that apply to these versions."""
    return [finding for applies, finding in KNOWN_BAD if applies(versions)]


def unmet(distribution: str, requirements: Iterable[str] | None = None) -> Iterator[Finding]:
    """Find requirements of an installed distribution that are missing or out of range.

    Args:
        distribution: Name of the distribution.
        requirements: Requirements to check; by default read from its metadata.
    """
    if requirements is None:
        try:
            requirements = metadata.requires(distribution) or ()
        except metadata.PackageNotFoundError:
            yield Finding('note', f'{distribution} is not installed, its needs are not checked')
            return
    for requirement in map(Requirement, requirements):
        # Requirements of extras, or for other platforms, do not apply.
        if requirement.marker is not None and not requirement.marker.evaluate(dict(extra='')):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            version = 'not installed'
        if version == 'not installed' or not requirement.specifier.contains(version, True):
            needs = f'{distribution} needs {requirement.name}{requirement.specifier}'
            mend = f'pip install "{requirement.name}{requirement.specifier}"'
            yield Finding('broken', f'{needs}, found: {version}: {mend}')


def operators() -> Iterator[Finding]:
    """Find out whether torchvision's compiled operators load into this PyTorch."""
    import torch

    try:
        from torchvision.ops import nms

        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (ImportError, RuntimeError) as error:
        yield Finding(
            'broken',
            f'torchvision does not fit torch ({str(error).splitlines()[0]}): install the pair '
            'together, pip install --upgrade torch torchvision',
        )


def decoders() -> tuple[dict[str, str], list[Finding]]:
    """Reader -> ``'works'`` or its problem, found by decoding a clip; and the findings."""
    from mmstan.datasets.readers import READERS, reader_problem

    problems = {name: reader_problem(name) for name in READERS}
    findings = []
    if problems['pyav'] is not None:
        findings.append(Finding('broken', f'PyAV must work: {problems["pyav"]}: pip install av'))
    return {name: problem or 'works' for name, problem in problems.items()}, findings


def measure_shared_memory(path: str = '/dev/shm') -> tuple[dict[str, str], list[Finding]]:
    """Size of the memory in which data loaders hand over batches, and the findings.

    Args:
        path: Where it is mounted; other systems than Linux have none.
    """
    try:
        size = shutil.disk_usage(path)
    except OSError:
        return {path: 'not there'}, []
    findings = []
    if size.total < _SHARED_MEMORY:
        text = (
            f'{path} has {size.total / 1e6:.0f} MB, workers of a data loader die with "bus error" '
            'when it is full: docker run --shm-size=16g, or fewer num_workers, or prefetch_factor=1'
        )
        findings.append(Finding('note', text))
    return {path: f'{size.total / 1e9:.1f} GB, {size.free / 1e9:.1f} GB free'}, findings


def describe_mmdet() -> str:
    """Say whether MMDetection is installed and usable; found out by importing its models."""
    problem = find_mmdet_problem()
    if problem is None:
        try:
            import_module('mmdet.models')
        except Exception as error:  # of any package that it imports
            problem = write_on_one_line(f'cannot be imported ({type(error).__name__}: {error})')
    state = 'usable' if problem is None else problem
    return f"{state}; not needed: 'mmstan.ActionDetector' does without it"


def _section(title: str, rows: Mapping[str, str]) -> None:
    print(f'\n{title}')
    for name, text in rows.items():
        print(f'  {name:<28}{text}')


def main() -> int:
    """Print the report.

    Returns:
        1 if something is broken, else 0.
    """
    import torch

    versions = installed()
    readers, findings = decoders()
    memory, notes = measure_shared_memory()
    findings += notes
    findings += [*unmet('mmstan'), *unmet('torchvision'), *operators(), *known_bad(versions)]
    cuda = f'CUDA {torch.version.cuda}' if torch.cuda.is_available() else 'no GPU'
    system = f'{platform.python_version()}, {platform.platform()}, {cuda}'
    _section('Installed', {'python': system, **versions})
    _section('Mended (mmstan.compat)', compat.list_active())
    _section('Video readers', readers)
    _section('Shared memory', memory)
    _section('Detection', dict(mmdet=describe_mmdet()))
    order = sorted(findings, key=lambda finding: finding.level)
    _section('Findings', {f'{i}. {f.level}': f.text for i, f in enumerate(order, start=1)})
    broken = sum(finding.level == 'broken' for finding in findings)
    print(f'\n{broken} broken' if broken else '\nNothing that mmstan needs is broken.')
    return int(broken > 0)


if __name__ == '__main__':
    sys.exit(main())
