"""The model card of a saved model, in the Hugging Face hub's form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mmstan.apis.description import ModelDescription
from mmstan.config.find import list_models
from mmstan.wording import markdown_table

_TAGS = dict(recognition='video-classification', retrieval='feature-extraction')
_CARD = """\
---
{front}---

# {name}

A video model made of an image-language model, saved by mmstan. It holds no code and runs none.

```python
import mmstan
model = mmstan.load('THIS FOLDER')
{use}
```

{results}
"""
_USE = dict(
    recognition="print(model.classify('video.mp4'))",
    retrieval="print(model.similarity(['a dog catches a ball'], ['video.mp4']))",
)


def write_card(path: Path, description: ModelDescription) -> None:
    """Write the card of a model: front matter, use, and results as the metafile has them."""
    entry = find_entry(description.name)
    front: dict[str, Any] = dict(
        library_name='mmstan',
        license='other',  # that of the weights it was made of
        pipeline_tag=_TAGS[description.task],
        tags=['video', 'mmaction2', description.task],
    )
    figures = _list_figures(entry)
    table = markdown_table(['figure', 'value', 'source'], figures) if figures else ''
    text = _CARD.format(
        front=yaml.safe_dump(front, sort_keys=False),
        name=description.name,
        use=_USE[description.task],
        results=table or 'Results: not measured.',
    )
    path.write_text(text, 'utf-8')


def _list_figures(entry: dict[str, Any]) -> list[list[str]]:
    """Rows (figure, value, source) of reported and measured results."""
    return [
        [str(figure), str(value), f'{how}: {result["Source"]}']
        for key, how in (('Reported', 'reported'), ('Measured', 'measured'))
        for result in entry.get(key, ())
        for figure, value in result['Figures'].items()
    ]


def find_entry(name: str) -> dict[str, Any]:
    """The entry of a config, ``stan/k400_b16``, in its metafile; ``{}`` without one."""
    return next((x for x in list_models() if x['Config'] == f'configs/{name}.py'), {})
