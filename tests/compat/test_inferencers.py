"""MMAction2's own inferencer on a config of ours: files, paths, arrays, folders, pictures."""

from pathlib import Path
from typing import Any

import av
import mmcv
import numpy as np
import pytest
import torch
from mmaction import apis
from mmaction.apis import MMAction2Inferencer
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmstan.config.tiny import make_tiny
from mmstan.datasets.readers import open_video

PROJECT = Path(__file__).parents[2]
# The inferencer builds the config's visualizer without a folder for its backends.
pytestmark = pytest.mark.filterwarnings('ignore:Failed to add:UserWarning')


@pytest.fixture(scope='module')
def videos(moving_shapes: Path) -> list[Path]:
    return [moving_shapes / f'recognition/test/00000{number}.mp4' for number in (0, 1)]


@pytest.fixture
def config(moving_shapes: Path) -> Config:
    cfg = Config.fromfile(PROJECT / 'configs/quickstart/stan.py')
    return make_tiny(cfg, data=moving_shapes.parent)


@pytest.fixture
def weights(config: Config, tmp_path: Path) -> str:
    init_default_scope('mmaction')
    torch.save(MODELS.build(config.model).state_dict(), tmp_path / 'weights.pth')
    return str(tmp_path / 'weights.pth')


def scores(config: Config, weights: str, inputs: Any, **options: Any) -> np.ndarray:
    """Scores (N, K) of N inputs."""
    calls = {key: options.pop(key) for key in ('vid_out_dir', 'out_type') if key in options}
    inferencer = MMAction2Inferencer(
        rec=config.copy(), rec_weights=weights, device='cpu', **options
    )
    found = inferencer(inputs, print_result=False, **calls)['predictions']
    return np.concatenate([one['rec_scores'] for one in found])


def read_all(path: Path) -> np.ndarray:
    with open_video(path) as video:
        return np.stack(video.read(range(video.num_frames)))


def test_all_forms_of_a_video_have_the_same_scores(
    config: Config, weights: str, videos: list[Path], tmp_path: Path
) -> None:
    right = scores(config, weights, [str(path) for path in videos])
    assert right.shape == (2, 8)
    assert not np.allclose(right[0], right[1], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(scores(config, weights, videos), right)
    frames = [read_all(path) for path in videos]
    arrays = scores(config, weights, frames, input_format='array')
    np.testing.assert_array_equal(arrays, right)
    folders = [tmp_path / path.stem for path in videos]
    for folder, images in zip(folders, frames):
        for number, image in enumerate(images, start=1):  # PNG in the clothes of the default name
            mmcv.imwrite(image[..., ::-1], str(folder / f'{number}.png'))
            (folder / f'{number}.png').rename(folder / f'img_{number:05}.jpg')
    np.testing.assert_array_equal(scores(config, weights, folders, input_format='rawframes'), right)


def test_one_video_as_inference_recognizer_takes_it(
    config: Config, weights: str, videos: list[Path]
) -> None:
    model = apis.init_recognizer(config.copy(), weights, device='cpu')
    right = apis.inference_recognizer(model, str(videos[0])).pred_score
    for video in (videos[0], read_all(videos[0])):
        assert torch.equal(apis.inference_recognizer(model, video).pred_score, right)


def test_pictures_of_every_video(
    config: Config, weights: str, videos: list[Path], moving_shapes: Path, tmp_path: Path
) -> None:
    names = str(moving_shapes / 'recognition/classes.txt')
    options = dict(label_file=names, vid_out_dir=str(tmp_path / 'pictures'))
    scores(config, weights, videos, **options)
    assert sorted(path.name for path in (tmp_path / 'pictures').iterdir()) == [
        path.name for path in videos
    ]
    for path in videos:
        before, after = read_all(path), read_all(tmp_path / 'pictures' / path.name)
        assert before.shape == after.shape
        assert np.abs(before[:, 40:].astype(int) - after[:, 40:]).mean() < 8
        assert np.abs(before[:, :8].astype(int) - after[:, :8]).mean() > 20  # where names are
        with av.open(str(tmp_path / 'pictures' / path.name)) as container:
            assert container.streams.video[0].average_rate == 30


def test_a_video_that_cannot_be_read_is_named(config: Config, weights: str, tmp_path: Path) -> None:
    (tmp_path / 'a.mp4').write_text('no video')
    with pytest.raises(RuntimeError, match=r'a\.mp4: cannot be opened'):
        scores(config, weights, tmp_path / 'a.mp4')


def test_pipelines_without_read_frames_are_upstreams(config: Config, weights: str) -> None:
    pipeline = config.test_dataloader.dataset.pipeline
    sampler = dict(type='SampleFrames', clip_len=1, num_clips=8, test_mode=True)
    pipeline[:1] = [sampler, dict(type='DecordDecode')]
    inferencer = MMAction2Inferencer(rec=config, rec_weights=weights, device='cpu')
    steps = inferencer.actionrecog_inferencer.pipeline.transforms
    names = [type(step).__name__ for step in steps]
    assert names[:3] == ['InferencerPackInput', 'DecordInit', 'SampleFrames']
