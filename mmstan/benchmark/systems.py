"""The configs that the benchmark compares by default."""

from __future__ import annotations

from mmengine.config import Config

from mmstan.benchmark.learning import CONFIGS

SYSTEMS = (
    '*/k400_b32.py',
    '*/k400_b16.py',
    '*/k400_b16_8f.py',
    '*/k400_b16_conv.py',
    '*/msrvtt_b32.py',
    'baselines/*/k400_b32.py',
    'baselines/*/k400_b16.py',
    'baselines/actionclip/k400_b16_conv.py',
    'baselines/actionclip/k400_b16_lstm.py',
    'baselines/actionclip/k400_b16_shift.py',
    'baselines/*/msrvtt_b32.py',
    'baselines/wti/msrvtt_b32_ti.py',
    'mug_stan/ablations/msrvtt_b32_no_stan.py',  # Mug behind CLIP's own frames
    'mug_stan/ablations/msrvtt_b32_wti.py',  # another interaction behind the same branch
)
"""Patterns of configs below ``configs`` that are compared by default."""


def list_systems() -> list[str]:
    """Paths of the configs that are compared by default."""
    found = {path for pattern in SYSTEMS for path in CONFIGS.glob(pattern)}
    found = {path for path in found if path.parts[-2] != 'quickstart'}
    return [str(path) for path in sorted(found)]


def list_backbones() -> list[str]:
    """A config of every backbone: recognition with ViT-B/16 where there is one, else the first."""
    found: dict[str, str] = {}
    for path in sorted(list_systems(), key=lambda path: ('k400_b16' not in path, len(path), path)):
        backbone = Config.fromfile(path).model.get('backbone') or {}
        found.setdefault(str(backbone.get('type')), path)
    return sorted(found.values())
