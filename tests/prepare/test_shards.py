"""``tools/prepare_videos.py``: every video in one shard, whole shards or none, the same bytes."""

import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.scripts import script

from mmstan.datasets import Shards
from mmstan.prepare.shards import write
from mmstan.prepare.shards.write import plan_shards

Run = Callable[..., str]


@pytest.fixture
def source(clips: Path, tmp_path: Path) -> Path:
    """A folder of five videos, of which the fourth is cut, and their captions."""
    folder = tmp_path / 'videos'
    folder.mkdir()
    for i in range(5):
        whole = (clips / f'{i}.mp4').read_bytes()
        (folder / f'{i}.mp4').write_bytes(whole[:-3000] if i == 3 else whole)
    captions = {f'{i}.mp4': [f'clip {i}', 'größer'] for i in range(5)}
    (folder / 'captions.json').write_text(json.dumps(captions))
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process; what it prints."""

    def call(*arguments: object, size: int = 2) -> str:
        line = ['prepare_videos', *map(str, arguments), '--shard-size', str(size)]
        monkeypatch.setattr(sys, 'argv', line)
        script('prepare_videos').main()
        return capsys.readouterr().out

    return call


def read_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_every_video_is_in_one_shard(source: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    said = run(source, out).splitlines()
    size = sum(len(data) for _, data in all_members(out))
    assert said == [
        f'4 clips of 5 videos in 3 shards, {size / 1e6:.1f} MB: H.264, short side 256, '
        '8 frames/s, every frame a key frame',
        f'1 left out, named in {out / "broken.txt"}',
    ]
    assert [*read_tar(out / '00000.tar')] == [
        f'0000000{i}.{kind}' for i in range(2) for kind in ('mp4', 'txt', 'json')
    ]
    members = dict(all_members(out, 'json'))
    assert [json.loads(data)['source'] for data in members.values()] == [
        f'{i}.mp4' for i in (0, 1, 2, 4)
    ]
    about = json.loads(members['00001000.json'])
    assert about == dict(
        caption='clip 2', caption_1='größer', source='2.mp4', seconds=1.0, fps=8.0,
        size=[64, 48], source_fps=8.0, source_size=[64, 48],
        source_bytes=(source / '2.mp4').stat().st_size,
    )  # fmt: skip
    assert dict(all_members(out, 'txt'))['00001000.txt'].decode() == 'clip 2'
    assert (out / 'broken.txt').read_text().startswith('3.mp4: ')
    assert not list(out.glob('*.part'))


def all_members(out: Path, kind: str = 'mp4') -> list[tuple[str, bytes]]:
    return [(name, data) for tar in sorted(out.glob('*.tar')) for name, data in
            read_tar(tar).items() if name.endswith(kind)]  # fmt: skip


def test_stopped_and_repeated_gives_the_same_bytes(
    source: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(source, tmp_path / 'whole')

    class Killed(BaseException):
        pass

    add, added = write._add, []

    def stop_in_the_second(*arguments: object) -> None:
        added.append(1)
        if len(added) > 7:  # a shard has six members
            raise Killed
        add(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(write, '_add', stop_in_the_second)
        with pytest.raises(Killed):
            run(source, tmp_path / 'out', '--workers', 1)
    assert [path.name for path in (tmp_path / 'out').glob('*.tar')] == ['00000.tar']
    assert (tmp_path / 'out/00001.tar.part').exists()
    first = (tmp_path / 'out/00000.tar').stat().st_mtime_ns
    assert '4 clips of 5 videos in 3 shards (1 were there)' in run(source, tmp_path / 'out')
    assert (tmp_path / 'out/00000.tar').stat().st_mtime_ns == first
    assert not list((tmp_path / 'out').glob('*.part'))
    for tar in (tmp_path / 'whole').glob('*.tar'):
        assert (tmp_path / 'out' / tar.name).read_bytes() == tar.read_bytes()
    assert (tmp_path / 'out/broken.txt').read_text() == (tmp_path / 'whole/broken.txt').read_text()


def test_other_videos_or_settings_need_another_folder(
    source: Path, run: Run, tmp_path: Path
) -> None:
    run(source, tmp_path / 'out')
    with pytest.raises(ValueError, match=r'out holds shards with fps=8\.0, not 4\.0: name another'):
        run(source, tmp_path / 'out', '--fps', 4)
    plan = next((tmp_path / 'out').rglob('made_from.json'))
    captions = json.loads((source / 'captions.json').read_text())
    captions['2.mp4'][1] = 'neither the first nor the last'
    (source / 'captions.json').write_text(json.dumps(captions))
    with pytest.raises(ValueError, match=r'out holds shards with crc32_of_videos=\d+, not \d+: na'):
        run(source, tmp_path / 'out')
    old = json.loads(plan.read_text('utf-8'))
    del old['crc32_of_videos']  # as version 0.1 wrote it
    plan.write_text(json.dumps(old))
    assert '(3 were there)' in run(source, tmp_path / 'out')
    assert json.loads(plan.read_text('utf-8')) == old
    (tmp_path / 'other').mkdir()
    with tarfile.open(tmp_path / 'other/00000.tar', 'w') as tar:
        tar.addfile(tarfile.TarInfo('a.mp4'), io.BytesIO())
    with pytest.raises(ValueError, match='other holds shards that were not made here'):
        run(source, tmp_path / 'other')


def test_videos_of_a_config(source: Path, run: Run, tmp_path: Path) -> None:
    dataset = dict(
        type='mmstan.CaptionsJson',
        ann_file='captions.json',
        data_root=str(source),
        data_prefix=dict(video=''),
        pipeline=[dict(type='mmstan.ReadFrames')],
    )
    config = tmp_path / 'config.py'
    config.write_text(f'train_dataloader = dict(dataset=dict(type="A", dataset={dataset!r}))')
    assert run(config, tmp_path / 'out', size=9).startswith('4 clips of 5 videos in 1 shard, ')
    several = dict(type='mmstan.MixedClips', datasets=[dataset, dataset])
    config.write_text(f'train_dataloader = dict(dataset={several!r})')
    with pytest.raises(ValueError, match=r'py: mmstan.MixedClips of train_dataloader has 2 data s'):
        run(config, tmp_path / 'more')


def test_narrated_videos_become_a_clip_a_caption(clips: Path, run: Run, tmp_path: Path) -> None:
    """Windows of a video are in one shard; one that begins behind the end is left out."""
    narrations = {
        '10': dict(start=[0.0, 0.5, 9.0], end=[1.0, 0.7, 9.5], text=['one', 'two', 'late']),
        '11': dict(start=[0.25], end=[0.5], text=['three']),
    }
    (tmp_path / 'captions.json').write_text(json.dumps(narrations))
    out = tmp_path / 'out'
    assert run(clips, out, '--windows', tmp_path / 'captions.json', size=3).startswith(
        '3 clips of 2 videos in 2 shards, '
    )
    members = dict(all_members(out, 'json'))
    assert [*members] == ['00000000_0000.json', '00000000_0001.json', '00001000_0000.json']
    about = [json.loads(data) for data in members.values()]
    assert [x['caption'] for x in about] == ['one', 'two', 'three']
    # Widened to four seconds around their middle, and cut where the video of 2 s ends.
    assert [(x['start'], x['end'], x['seconds']) for x in about] == [
        (0.0, 4.0, 2.0), (0.0, 4.0, 2.0), (0.0, 4.0, 2.125)
    ]  # fmt: skip
    assert (out / 'broken.txt').read_text() == '10.mp4 from 7.25 s: ends before second 7.25\n'


def test_prepared_shards_are_read_as_any_others(source: Path, run: Run, tmp_path: Path) -> None:
    run(source, tmp_path / 'out')
    assert (tmp_path / 'out/index.npz').exists()
    shards = Shards(str(tmp_path / 'out'), pipeline=[])
    assert [x['captions'] for x in shards] == [[f'clip {i}'] for i in (0, 1, 2, 4)]
    other = Shards(str(tmp_path / 'out'), caption='json:caption_1', pipeline=[])
    assert other[2]['captions'] == ['größer'] and other[2]['video_id'] == '00001000'


def test_sources_that_are_none(source: Path, run: Run, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'nothing\.json does not exist: give a config'):
        run(tmp_path / 'nothing.json', tmp_path / 'out')
    with pytest.raises(ValueError, match=r'must have one json or csv .* and has none'):
        run(tmp_path, tmp_path / 'out')
    (source / 'captions.tsv').touch()
    with pytest.raises(ValueError, match=r'captions\.tsv: it must be a config \(\.py\), a json'):
        run(source / 'captions.tsv', tmp_path / 'out')


def test_shards_of_unequal_videos() -> None:
    assert plan_shards([1] * 5, 2) == [range(2), range(2, 4), range(4, 5)]
    assert plan_shards([2, 3, 9, 1], 5) == [range(2), range(2, 3), range(3, 4)]
    with pytest.raises(ValueError, match='--shard-size 0 must be 1 or more'):
        plan_shards([1], 0)
