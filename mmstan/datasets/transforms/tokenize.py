"""Captions to token ids inside a pipeline."""

from __future__ import annotations

from typing import Any

import open_clip
from mmcv.transforms import BaseTransform

from mmstan.models.towers.architecture import find_architecture
from mmstan.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Tokenize(BaseTransform):
    """Makes token ids for models that take them; replaces MMAction2's ``CLIPTokenize``.

    ``mmstan.VideoTextModel`` does not need it, since it tokenises captions itself. The string
    ``text``, or the only string in ``captions``, becomes ``text``, int64 (length,), with 0 after
    the end of the text. A text that is too long is cut and keeps its end-of-text token.

    Args:
        model: open_clip's name.
        length: Number of tokens; by default the model's context length, its largest.

    Raises:
        ValueError: The model is unknown, ``length`` does not fit it, or a sample has several
            captions.

    Example:
        >>> from mmstan.datasets.transforms import Tokenize
        >>> Tokenize('ViT-B-32', length=6)(dict(captions=['a dog']))['text'].tolist()
        [49406, 320, 1929, 49407, 0, 0]
    """

    def __init__(self, model: str, *, length: int | None = None) -> None:
        longest = find_architecture(model, None).text_cfg.get('context_length', 77)
        if length is not None and not 2 <= length <= longest:
            raise ValueError(f'length={length}: a text has 2 to {longest} tokens in {model}')
        self.model = model
        self.length = length or longest
        self._tokenizer = open_clip.get_tokenizer(model)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace the text by its ids; see the class."""
        text = (
            results['text'] if 'text' in results else self._take_only_caption(results['captions'])
        )
        results['text'] = self._tokenizer(text, context_length=self.length)[0]
        return results

    def _take_only_caption(self, captions: list[str]) -> str:
        if len(captions) != 1:
            raise ValueError(
                f'captions={captions[:2]}...: Tokenize takes one caption a sample, not '
                f'{len(captions)}; test such data sets with mmstan.VideoTextModel'
            )
        return captions[0]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(model={self.model!r}, length={self.length})'
