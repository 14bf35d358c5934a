"""The caption of a sample: the text beside the video, or a field of its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mmstan.wording import name_a_few


class CaptionChoice:
    """Chooses the caption of a sample as a string of a config says.

    * ``'txt'``: the member ``KEY.txt``.
    * ``'json:a'``: the field ``a`` of ``KEY.json``; ``'json:a,b'``: the first that is not empty.
    * ``'json:a=0.7,b=0.3'``: one that is not empty, drawn with these weights.

    A field is a text, a list of them, or video2dataset's subtitles (``lines`` of each part), which
    are joined by spaces.

    Raises:
        ValueError: The string has another form.
    """

    def __init__(self, caption: str) -> None:
        self.member, colon, fields = caption.partition(':')
        parts = [part.strip().partition('=') for part in fields.split(',') if part.strip()]
        self.fields = [name.strip() for name, *_ in parts]
        weights = [weight for _, equals, weight in parts if equals]
        self.weights = [_read_weight(caption, weight) for weight in weights]
        if caption == 'txt':
            return
        if self.member != 'json' or not colon or not parts:
            raise ValueError(f"caption={caption!r} must be 'txt', 'json:a,b' or 'json:a=0.7,b=0.3'")
        if len(weights) not in (0, len(parts)):
            raise ValueError(f'caption={caption!r}: give every field a weight, or none')

    def read(self, data: bytes) -> tuple[str, bool]:
        """Read the caption from the bytes of its member.

        Returns:
            The caption, '' where there is none, and whether all of the bytes were UTF-8. Others are
            replaced by U+FFFD.

        Raises:
            ValueError: The metadata are no JSON object.
        """
        text = data.decode(errors='replace')
        whole = '\ufffd' not in text or data.find('\ufffd'.encode()) >= 0
        if self.member == 'txt':
            return text.strip(), whole
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError('its json is not an object')
        return self._choose(found), whole

    def _choose(self, metadata: Mapping[str, Any]) -> str:
        texts = [_join(metadata.get(name)) for name in self.fields]
        if not self.weights:
            return next(filter(None, texts), '')
        weights = np.array([weight * bool(text) for weight, text in zip(self.weights, texts)])
        if not weights.sum():
            return ''
        return texts[np.random.choice(len(texts), p=weights / weights.sum())]

    def describe_lack(self, data: bytes) -> str:
        """Say which fields a sample has in place of the wanted."""
        if self.member == 'txt':
            return 'has an empty caption'
        found = json.loads(data.decode(errors='replace'))  # as it was read
        names = [f'{name!r}' for name, value in found.items() if _join(value)]
        return f'has no caption in {self.fields} of its json: {name_a_few(names)} have text'


def _read_weight(caption: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 < weight < float('inf'):
        raise ValueError(f'caption={caption!r}: the weight {text!r} must be a number above 0')
    return weight


def _join(value: Any) -> str:
    """Join the texts of a field; '' where it has none."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return ' '.join(filter(None, map(_join, value)))
    return _join(value.get('lines')) if isinstance(value, Mapping) else ''
