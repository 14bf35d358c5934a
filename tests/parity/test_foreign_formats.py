"""Files in the layouts of other programs, faults and all, as their README says they are read.

They lie in ``samples/pretraining`` next to the golden cases.
"""

import shutil
from pathlib import Path

import pytest
from parity.test_parity import ROOT

from mmstan.datasets import HowTo100M, ImageText, Shards, WebVid
from mmstan.datasets.readers import BrokenVideoError, open_video

SAMPLES = ROOT.parent / 'samples/pretraining'

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f'no files in {SAMPLES}')


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A copy, next to which files can be written."""
    return Path(shutil.copytree(SAMPLES, tmp_path / 'samples'))


@pytest.mark.parametrize(
    ('shard', 'usable', 'broken'),
    [('00000', 3, 0), ('00001', 1, 0), ('00002', 2, 1), ('00003_truncated', 1, 1)],
)
def test_shards(shard: str, usable: int, broken: int, samples: Path) -> None:
    dataset = Shards(str(samples / f'{shard}.tar'))
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    assert len(infos) == usable
    failures = 0
    for number, info in enumerate(infos):
        path = samples / f'{number}.mp4'
        path.write_bytes(info['video'])
        try:
            with open_video(str(path)) as video:
                assert video.num_frames > 1
        except BrokenVideoError as error:
            failures += error.reason == 'is empty (0 bytes)'
    assert failures == broken


def test_images_and_subtitles_of_shards(samples: Path) -> None:
    shard = str(samples / '00001.tar')
    both = Shards(shard, video=('mp4', 'jpg'))
    captions = [both.get_data_info(index)['captions'] for index in range(len(both))]
    assert captions == [['ein Hund läuft'], ['an image, and a broken one']]
    subtitles = Shards(shard, caption='json:clip_subtitles')
    assert subtitles.get_data_info(0)['captions'] == ['take the paper']


def test_lists(samples: Path) -> None:
    names = ('000001_000050/1001.mp4', '000001_000050/1002.mp4', '000051_000100/1004.mp4')
    others = ('aaaaaaaaaa1.mp4', 'aaaaaaaaaa2.webm', 'training/1234567.jpg', 'training/7654321.jpg')
    for name in (*names, *others):
        path = samples / 'videos' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    prefix = dict(video=str(samples / 'videos'))
    webvid = WebVid(str(samples / 'results_10M_train.csv'), data_prefix=prefix)
    assert (len(webvid), webvid.num_missing) == (3, 1)
    assert webvid.get_data_info(2)['captions'] == ['A man pours "coffee" into a cup']
    other = WebVid(str(samples / 'webvid_video2dataset_input.csv'), data_prefix=prefix)
    assert other.get_data_info(0)['captions'] == ['A red ball rolls down a ramp.']
    videos = str(samples / 'HowTo100M_v1.csv')
    for captions, missing in (('caption.json', 0), ('howto_csv', 1)):
        howto = HowTo100M(videos, captions=str(samples / captions), data_prefix=prefix)
        assert (len(howto), howto.num_missing) == (2 - missing, missing)
    images = dict(img=str(samples / 'videos'))
    listed = ImageText(str(samples / 'cc3m_released_list.csv'), data_prefix=images)
    assert listed.get_data_info(1)['captions'] == ['salt, pepper and oil on a table']
    with pytest.raises(ValueError, match='is an address, and images are not downloaded here'):
        ImageText(str(samples / 'Train_GCC-training.tsv'), data_prefix=images)
