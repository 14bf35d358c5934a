"""The files of one exported model, as functions from tensors to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmstan.apis.description import ModelDescription
from mmstan.apis.export.onnx_files import (
    OnnxFile,
    check_signature,
    make_session,
    read_onnx,
    run_session,
)
from mmstan.apis.export.write import name_part
from mmstan.models.features import TextFeatures
from mmstan.registry import MODELS


class Parts:
    """The files of one exported model, each opened when it is first needed.

    Args:
        file: The video part.
        description: Its description.
    """

    def __init__(self, file: OnnxFile, description: ModelDescription) -> None:
        self.file, self.description = file, description
        self.video = make_session(file.path)
        self.outputs = [x.name for x in self.video.get_outputs()]
        check_signature(self.video, file.path, {'frames', 'frame_mask'}, {'features'})
        self._sessions: dict[str, Any] = {}
        self._tower: Any = None

    @property
    def scale(self) -> float:
        """The factor on similarities."""
        return float(self.file.use['scale'] or 1)

    def run(self, part: str, inputs: dict[str, Tensor]) -> list[Tensor]:
        """Outputs of the text or scores part.

        Raises:
            ValueError: Its file is missing, or belongs to another model.
        """
        if part not in self._sessions:
            self._sessions[part] = self._open(part)
        return run_session(self._sessions[part], inputs)

    def _open(self, part: str) -> Any:
        path = name_part(Path(self.file.path), part)
        if not path.is_file():
            raise ValueError(
                f'{path}: there is no such file, and texts need it: export the model with '
                "parts=('video', 'text', 'scores')"
            )
        file = read_onnx(str(path))
        if file.part != part or file.use['identity'] != self.file.use['identity']:
            raise ValueError(f'{path} belongs to another model than {self.file.path}')
        session = make_session(str(path))
        texts = {'tokens', 'sentence', 'text_mask'}
        inputs = {'ids'} if part == 'text' else {*texts, *self.outputs, 'frame_mask'}
        check_signature(session, str(path), inputs, texts if part == 'text' else {'similarity'})
        return session

    def encode_texts(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts, as the model gives them."""
        model = self.description.model
        if self._tower is None:
            cfg = model.get('text_tower') or model.get('cls_head', {}).get('text_tower')
            if cfg is None:
                raise ValueError(f'{self.file.path}: the model has no text tower, and no texts')
            with torch.device('meta'):  # for its tokenizer: the weights are in the file
                self._tower = MODELS.build(cfg)
        ids = self._tower.tokenize(list(texts), model.get('text_length'))
        return TextFeatures(*self.run('text', dict(ids=ids)))

    def compare(self, text: TextFeatures, features: dict[str, Tensor]) -> Tensor:
        """Similarities (A, N) of texts and videos, without a scale."""
        texts = dict(tokens=text.tokens, sentence=text.sentence, text_mask=text.mask)
        return self.run('scores', {**texts, **features})[0]
