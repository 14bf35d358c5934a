"""A model in use: numbers of the test, kinds of videos, and errors."""

import io
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import pytest
import torch
from apis.conftest import Files
from helpers.scripts import script
from helpers.videos import numbered_frames, write_video

import mmstan
from mmstan.apis.video_model import VideoModel
from mmstan.datasets.readers import BrokenVideoError, open_video

Models = Callable[[str], VideoModel]
SYSTEMS = (
    'stan/k400_b16',
    'xclip/k400_b16',
    'dist/k400_b16_8f',
    'mug_stan/zero_shot/k400_b16',
    'baselines/clip_mean/k400_b16',
)
RETRIEVAL = 'mug_stan/msrvtt_b32'
STAN = SYSTEMS[0]
LINEAR = 'baselines/evl/k400_b16'


@pytest.mark.parametrize('name', SYSTEMS)
def test_classes_are_those_of_the_test_command(
    name: str,
    tiny_files: Callable[[str], Files],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, checkpoint = tiny_files(name)
    dump = tmp_path / 'predictions.pkl'
    argv = ['test.py', config, checkpoint, '--dump', str(dump), '--work-dir', str(tmp_path)]
    argv += ['--cfg-options', 'test_dataloader.dataset.indices=3']
    monkeypatch.setattr('sys.argv', argv)
    script('test').main()
    dumped = pickle.loads(dump.read_bytes())
    model = mmstan.load(config, checkpoint, device='cpu', views='test', workers=0)
    videos = [sample['filename'] for sample in _samples(config)][:3]
    scores = model.classify(videos)
    wanted = torch.stack([sample['pred_score'] for sample in dumped])
    assert np.abs(np.stack([x.all for x in scores]) - wanted.numpy()).max() < 1e-6
    assert all(x.names[0] == model.class_names[x.all.argmax()] for x in scores)  # type: ignore


def _samples(config: str) -> Iterator[dict[str, Any]]:
    from mmengine.config import Config
    from mmengine.registry import DATASETS

    dataset: Any = DATASETS.build(Config.fromfile(config).test_dataloader.dataset)
    return (dataset.get_data_info(i) for i in range(len(dataset)))


@pytest.mark.parametrize('name', [STAN, RETRIEVAL])
def test_each_kind_of_video_gives_the_same(
    name: str, tiny_model: Models, clips: list[Path], tmp_path: Path
) -> None:
    model, clip = tiny_model(name), clips[0]
    with open_video(clip) as video:
        frames = np.stack(video.read(range(video.num_frames)))
    folder = tmp_path / 'images'
    folder.mkdir()
    for number, frame in enumerate(frames):  # frame2 comes before frame10
        mmcv.imwrite(mmcv.rgb2bgr(frame), str(folder / f'frame{number}.png'))
    (folder / 'notes.txt').write_text('no image')
    with open(clip, 'rb') as opened:
        kinds = [
            str(clip),
            clip,
            clip.read_bytes(),
            io.BytesIO(clip.read_bytes()),
            opened,
            clip.as_uri(),
            frames,
            torch.from_numpy(frames),
            folder,
        ]
        features = model.embed(kinds)
    assert features.shape == (len(kinds), 16) and features.dtype == torch.float32
    torch.testing.assert_close(features, model.embed(clip).expand_as(features), rtol=0, atol=1e-6)


def test_features_are_unit_and_pooled_by_the_interaction(
    tiny_model: Models, clips: list[Path]
) -> None:
    for name in (*SYSTEMS, RETRIEVAL, LINEAR):
        features = tiny_model(name).embed(clips)
        torch.testing.assert_close(features.norm(dim=1), torch.ones(5))
    for name, dim in ((STAN, 16), ('xclip/k400_b16', 16)):
        recognizer = tiny_model(name)
        frames, mask = recognizer.embed(clips, frames=True)  # before the neck, which averages
        assert frames.shape == (5, 8, dim) and mask.shape == (5, 8)
        compared, _ = recognizer.embed_compared(clips)
        assert compared.shape == (5, 1, dim)
    model = tiny_model(RETRIEVAL)
    frames, mask = model.embed(clips, frames=True)
    assert frames.shape == (5, 12, 16) and mask.all() and mask.dtype == torch.bool
    unit = torch.nn.functional.normalize(frames, dim=-1).mean(dim=1)
    expected = torch.nn.functional.normalize(unit, dim=-1)
    torch.testing.assert_close(model.embed(clips), expected)


def test_similarity_is_the_interaction_of_the_features(
    tiny_model: Models, clips: list[Path]
) -> None:
    model, texts = tiny_model(RETRIEVAL), ['a circle', 'a square moves left']
    similarity = model.similarity(texts, clips)
    assert similarity.shape == (2, 5) and similarity.dtype == torch.float32
    text = model.embed_texts(texts, tokens=True)
    frames, mask = model.embed(clips, frames=True)
    video = mmstan.models.features.VideoFeatures(frames, mask)  # type: ignore[attr-defined]
    torch.testing.assert_close(model.similarity_of(text, video), similarity)


@pytest.mark.parametrize('name', [STAN, 'xclip/k400_b16', 'mug_stan/zero_shot/k400_b16'])
def test_a_recognizer_compares_as_its_head_does(
    name: str, tiny_model: Models, clips: list[Path]
) -> None:
    model = tiny_model(name)
    names = model.class_names
    assert names is not None
    similarity = model.similarity(names, clips)
    scores = (model.model.cls_head.scale * similarity.T).softmax(dim=1)
    found = model.classify(clips)
    np.testing.assert_allclose(scores.numpy(), np.stack([x.all for x in found]), atol=1e-6)


@pytest.mark.parametrize(
    'name',
    [
        'baselines/actionclip/k400_b16_contrastive',  # 16 templates
        'xclip/ablations/k400_b16_coop',  # '{}.' behind learned words
        'xclip/ablations/k400_b16_ensemble',  # a template at random in training
    ],
)
def test_own_names_by_hand_are_in_the_templates_of_the_head(
    name: str, tiny_model: Models, clips: list[Path]
) -> None:
    model = tiny_model(name)
    own, again = model.classify(clips[0]), model.classify(clips[0], model.class_names)
    assert (own.all == again.all).all()
    bare = model.classify(clips[0], model.class_names, templates=['{}'])
    assert (own.all != bare.all).any()
    assert model.similarity(['a text', 'another'], clips[:2]).shape == (2, 2)


def test_other_class_names_are_undone(tiny_model: Models, clips: list[Path]) -> None:
    for name in (STAN, 'xclip/k400_b16'):
        model = tiny_model(name)
        before = model.classify(clips[0])
        other = model.classify(clips[0], ['a', '2 dogs', 'a'], templates=['a video of {}'], top=2)
        assert len(other.all) == 3 and len(other.names) == 2 and other.all[0] == other.all[2]
        again = model.classify(clips[0])
        assert again.names == before.names and (again.all == before.all).all()


def test_zero_shot_with_a_retrieval_model(tiny_model: Models, clips: list[Path]) -> None:
    model, names = tiny_model(RETRIEVAL), ['circle', 'square', 'star']
    found = model.classify(clips, names, top=1)
    similarity = model.similarity(names, clips)
    expected = (model.model.head.scale * similarity.T).softmax(dim=1)
    np.testing.assert_allclose(np.stack([x.all for x in found]), expected.numpy(), atol=1e-6)
    cosine = tiny_model('baselines/clip_mean/msrvtt_b32')
    sentences = ['a {}', 'the {}']
    ensemble = cosine.classify(clips[0], names, templates=sentences)
    units = torch.stack([cosine.embed_texts([t.format(n) for n in names]) for t in sentences])
    mean = torch.nn.functional.normalize(units.mean(dim=0), dim=-1)
    logits = cosine.model.head.scale * mean @ cosine.embed(clips[0])
    np.testing.assert_allclose(ensemble.all, logits.softmax(dim=0).numpy(), atol=1e-5)


def test_sizes_are_mixed_in_a_batch_and_threads_keep_the_order(
    tiny_files: Callable[[str], Files], clips: list[Path], tmp_path: Path
) -> None:
    wide = write_video(tmp_path / 'wide.mp4', numbered_frames(20, 64, 160))
    videos = [*clips, wide, *clips[::-1]]
    model = mmstan.load(*tiny_files(STAN), device='cpu', workers=2, batch_size=3)
    features = model.embed(iter(videos))
    alone = torch.stack([model.embed(video) for video in videos])
    torch.testing.assert_close(features, alone, rtol=0, atol=1e-6)


def test_a_broken_folder_has_the_name_that_was_given(
    tiny_model: Models, clips: list[Path], tmp_path: Path
) -> None:
    (tmp_path / '0.jpg').write_text('no image')
    model, folder = tiny_model(STAN), f'{tmp_path}/'
    model.embed([folder, clips[0]], on_error='skip')
    assert model.broken == [(folder, "frame '0.jpg' is missing or is no image")]


def test_broken_videos_are_skipped_by_name(
    tiny_model: Models, clips: list[Path], tmp_path: Path
) -> None:
    model, broken = tiny_model(STAN), tmp_path / 'broken.mp4'
    broken.write_bytes(b'no video at all')
    (tmp_path / 'empty').mkdir()
    videos = [clips[0], broken, clips[1], tmp_path / 'missing.mp4', tmp_path / 'empty', b'']
    found = model.classify(videos, on_error='skip')
    assert [x.error is None for x in found] == [True, False, True, False, False, False]
    assert found[1].names == [] and np.isnan(found[1].all).all() and len(found[1].all) == 8
    assert str(broken) in str(found[1].error) and model.broken[0][0] == str(broken)
    features = model.embed(videos, on_error='skip')
    assert features.isnan().all(dim=1).tolist() == [False, True, False, True, True, True]
    with pytest.raises(BrokenVideoError, match=re.escape(str(broken))):
        model.classify(videos)
    with pytest.raises(BrokenVideoError, match='no images'):
        model.classify(tmp_path / 'empty')
    with pytest.raises(BrokenVideoError, match='cannot be fetched'):
        model.classify('memory://there/is/none.mp4')


@pytest.mark.parametrize(
    ('video', 'message'),
    [
        (np.zeros((4, 8, 8, 3), np.float32), r'\(4, 8, 8, 3\) float32, expected frames'),
        (np.zeros((4, 3, 8, 8), np.uint8), r'\(4, 3, 8, 8\) uint8, expected frames'),
        (np.zeros((0, 8, 8, 3), np.uint8), 'expected frames'),
        ({'filename': 'a.mp4'}, 'dict is no video'),
        (7, 'int is no video'),
        ([7], 'int 7 is no video'),
    ],
)
def test_what_is_no_video_is_said(video: Any, message: str, tiny_model: Models) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_model(STAN).embed(video)


def test_questions_that_a_model_cannot_answer(tiny_model: Models, clips: list[Path]) -> None:
    linear, retrieval = tiny_model(LINEAR), tiny_model(RETRIEVAL)
    assert linear.classify(clips[0], top=1).names[0].isdigit() or linear.class_names
    with pytest.raises(ValueError, match=r'knows its own classes only.*mmstan\.TextHead'):
        linear.classify(clips[0], ['a', 'b'])
    with pytest.raises(ValueError, match=r'knows its own classes only.*retrieval config'):
        linear.similarity(['a'], clips)
    with pytest.raises(ValueError, match='has no classes: give class_names'):
        retrieval.classify(clips[0])
    with pytest.raises(ValueError, match='Mug compares words'):
        retrieval.classify(clips[0], ['a', 'b'], templates=['a {}', 'the {}'])
    for model in (retrieval, tiny_model(STAN)):
        with pytest.raises(ValueError, match=r"each needs a '\{\}' for the class name"):
            model.classify(clips[0], ['a', 'b'], templates=['a video'])
        with pytest.raises(ValueError, match=r"templates='a \{\}': give a list of sentences"):
            model.classify(clips[0], ['a', 'b'], templates='a {}')
    with pytest.raises(ValueError, match='give one str or more'):
        retrieval.similarity([], clips)
    with pytest.raises(ValueError, match="on_error='ignore'"):
        retrieval.embed(clips, on_error='ignore')  # type: ignore[arg-type]
    assert retrieval.embed([]).shape == (0, 0)


def test_low_precision_agrees(tiny_files: Callable[[str], Files], clips: list[Path]) -> None:
    for name in (STAN, 'xclip/k400_b16', 'dist/k400_b16_8f', RETRIEVAL):
        files = tiny_files(name)
        exact = mmstan.load(*files, device='cpu', workers=0)
        half = [torch.float16] if name == 'xclip/k400_b16' else []
        for dtype in [torch.bfloat16, *half]:
            low = mmstan.load(*files, device='cpu', dtype=dtype, workers=0)
            features = low.embed(clips[0])
            assert features.dtype == torch.float32
            assert features @ exact.embed(clips[0]) > 0.999
            if low.is_retrieval:
                assert low.similarity(['a'], clips).dtype == torch.float32
            else:
                assert low.classify(clips[0]).all.dtype == np.float32


def test_tokens_and_frames(tiny_model: Models, clips: list[Path]) -> None:
    model = tiny_model(STAN)
    assert model.tokens(clips[:2]).shape == (2, 8, 197, 32)
    assert model.frames(clips[0]).shape == (8, 224, 224, 3)
    assert model.frames(clips[0]).dtype == np.uint8
