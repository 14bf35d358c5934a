import pickle
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from mmaction.registry import TRANSFORMS

START, END = 49406, 49407


def tokenize(model: str = 'ViT-B-32', **arguments: Any) -> Any:
    return TRANSFORMS.build(dict(type='mmstan.Tokenize', model=model, **arguments))


@pytest.mark.parametrize('results', [dict(text='a dog'), dict(captions=['a dog'])])
def test_ids_of_one_text(results: dict[str, Any]) -> None:
    ids = tokenize(length=77)(results)['text']
    assert ids.dtype == torch.int64
    assert torch.equal(ids, open_clip.tokenize('a dog')[0])


def test_a_long_text_keeps_its_end() -> None:
    ids = tokenize(length=8)(dict(captions=['word ' * 50]))['text'].tolist()
    assert len(ids) == 8
    assert (ids[0], ids[-1], ids.count(END)) == (START, END, 1)


@pytest.mark.parametrize(('model', 'length'), [('ViT-B-32', 77), ('coca_ViT-B-32', 76)])
def test_length_is_the_models(model: str, length: int) -> None:
    assert tokenize(model)(dict(text='a'))['text'].shape == (length,)
    with pytest.raises(ValueError, match=f'length={length + 1}: a text has 2 to {length} tokens'):
        tokenize(model, length=length + 1)


def test_packed_beside_the_frames() -> None:
    pack = TRANSFORMS.build(dict(type='PackActionInputs', collect_keys=('imgs', 'text')))
    results = tokenize(length=16)(dict(captions=['a'], imgs=np.zeros((8, 3, 4, 4), np.uint8)))
    inputs = pack(results)['inputs']
    assert (inputs['imgs'].shape, inputs['text'].shape) == ((8, 3, 4, 4), (16,))


def test_reaches_workers_by_pickle() -> None:
    copy = pickle.loads(pickle.dumps(tokenize(length=9)))
    assert torch.equal(copy(dict(text='a'))['text'], tokenize(length=9)(dict(text='a'))['text'])


def test_one_caption_a_sample() -> None:
    with pytest.raises(ValueError, match=r"captions=\['a', 'b'\].*one caption a sample, not 3"):
        tokenize()(dict(captions=['a', 'b', 'c']))


def test_unknown_model() -> None:
    with pytest.raises(ValueError, match=r"model='ViT-B-33' is not an open_clip model; near it"):
        tokenize('ViT-B-33')
