"""Does an exported part compute the same as the model?"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmstan.apis.export.modules import list_tensors
from mmstan.apis.export.onnx_files import make_session, run_session
from mmstan.apis.export.parts import Part, run_part

TOLERANCE = 1e-4
"""Largest difference in float32, of outputs below 1; of larger ones relative to the largest."""
COSINE = 0.999
"""Smallest cosine of a row in half precision."""


def check_part(file: Path, part: Part, target: Path, *, batches: Iterable[int]) -> None:
    """Run an ONNX file in ONNX Runtime with several batch sizes, and compare.

    Raises:
        ValueError: An output differs from the model's.
    """
    session = make_session(str(file))
    for batch in batches:
        sized = resize_part(part, batch)
        outputs = run_session(session, sized.inputs)
        _compare(outputs, run_part(sized), part, target, batch)


def check_program(file: Path, part: Part, target: Path, *, batches: Iterable[int]) -> None:
    """Run a file of ``torch.export`` with several batch sizes, and compare.

    Raises:
        ValueError: An output differs from the model's.
    """
    module: Any = torch.export.load(str(file)).module()
    for batch in batches:
        sized = resize_part(part, batch)
        with torch.no_grad():
            outputs = list_tensors(module(*sized.inputs.values()))
        _compare(outputs, run_part(sized), part, target, batch)


def resize_part(part: Part, batch: int) -> Part:
    """The part with inputs of another batch size: rows again and again, and not all the same."""
    inputs = {}
    for name, x in part.inputs.items():
        rows = x[torch.arange(batch) % x.shape[0]]
        noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(batch))
        inputs[name] = rows + 0.1 * noise if rows.is_floating_point() else rows
    return part._replace(inputs=inputs)


def _compare(
    outputs: list[Tensor], wanted: list[Tensor], part: Part, target: Path, batch: int
) -> None:
    half = any(x.dtype is torch.float16 for x in part.module.parameters())
    for name, x, y in zip(part.outputs, outputs, wanted):
        if y.dtype is torch.bool:
            right, how = torch.equal(x, y), 'the mask is another one'
        elif half:
            cosine = F.cosine_similarity(x.flatten(1), y.flatten(1), dim=1).min().item()
            right, how = cosine >= COSINE, f'a cosine of {cosine:.4f} (at least {COSINE})'
        else:
            largest = max(1.0, y.abs().max().item())
            error = (x - y).abs().max().item() / largest
            right, how = error <= TOLERANCE, f'a difference of {error:.1e} (at most {TOLERANCE})'
        if not right:
            raise ValueError(
                f'{target}: output {name!r} differs from the model with a batch of {batch}: {how}; '
                'no file was written; check=False writes it all the same'
            )
