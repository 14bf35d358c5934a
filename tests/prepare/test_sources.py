"""The data sets behind the configs that ``tools/prepare_videos.py`` reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmstan.prepare.shards.sources import read_source


def write_config(folder: Path, **dataset: Any) -> Path:
    path = folder / 'config.py'
    path.write_text(f'train_dataloader = dict(dataset={dataset!r})\n')
    return path


@pytest.mark.parametrize('pairs', [{}, dict(pairs='expand'), dict(pairs='random')])
def test_a_video_has_all_its_captions_however_it_trains(
    pairs: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / 'a.mp4').touch()
    (tmp_path / 'captions.json').write_text(json.dumps({'a.mp4': ['one', 'two']}))
    config = write_config(
        tmp_path,
        type='mmstan.CaptionsJson',
        ann_file=str(tmp_path / 'captions.json'),
        data_prefix=dict(video=str(tmp_path)),
        **pairs,
    )
    (video,) = read_source(config)
    assert (video.name, video.captions) == ('a.mp4', ('one', 'two'))


@pytest.mark.parametrize('elsewhere', [False, True])
def test_images_have_a_caption_each(elsewhere: bool, tmp_path: Path) -> None:
    (tmp_path / 'a.jpg').touch()
    (tmp_path / 'list.tsv').write_text('a dog\ta.jpg\n')
    config = write_config(
        tmp_path,
        type='mmstan.ImageText',
        ann_file=str(tmp_path / 'list.tsv'),
        data_prefix=dict(img='nowhere' if elsewhere else str(tmp_path)),
    )
    (image,) = read_source(config, tmp_path if elsewhere else None)
    assert (image.name, image.captions) == ('a.jpg', ('a dog',))
