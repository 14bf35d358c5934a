"""Build, search, change and open an index."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from apis.search.conftest import DIM, FakeModel, best, draw, exact, names, unit
from mmengine.logging import MMLogger

from mmstan.apis.search import Changes, SearchIndex, building, kinds, store
from mmstan.apis.search.changing import _may_be_of
from mmstan.methods.clip4clip import TightTransformer
from mmstan.methods.drl import TokenWise, WeightedTokenWise
from mmstan.methods.mug import Mug
from mmstan.models.features import TextFeatures, VideoFeatures
from mmstan.models.interactions import Cosine

Videos = Callable[..., Path]


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != '.lock'}


def found(index: SearchIndex, *queries: str, top: int = 10) -> list[list[tuple[str, float]]]:
    return [[(hit.name, hit.score) for hit in index.search(query, top)] for query in queries]


@pytest.mark.parametrize(
    'interaction',
    [Mug(sharpness=10.0), TokenWise(), WeightedTokenWise(DIM), Cosine(), Cosine(frames='raw')],
    ids=['Mug', 'TokenWise', 'WeightedTokenWise', 'Cosine', 'Cosine raw'],
)
def test_scores_are_the_model_s(interaction: Any, videos: Videos, tmp_path: Path) -> None:
    model = FakeModel(interaction.requires_grad_(False))
    index = SearchIndex.build(model, videos(30), tmp_path / 'index', store='float32')
    expected = exact(model, 'a dog', [*range(30)])
    hits = index.search('a dog', top=7)
    assert names(hits) == best(expected, 7)
    assert [h.score for h in hits] == pytest.approx([expected[n] for n in names(hits)], abs=1e-5)
    pooled = isinstance(interaction, Cosine)
    assert index._searcher.table.features.shape == (30, 1 if pooled else 4, DIM)
    assert all((hit.frame is None) == pooled for hit in hits)


def test_half_precision_keeps_scores_to_its_rounding(
    model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    index = SearchIndex.build(model, videos(30), tmp_path / 'index')
    expected = exact(model, 'a dog', [*range(30)])
    for hit in index.search('a dog'):
        assert hit.score == pytest.approx(expected[Path(hit.name).name], abs=2e-3)


def test_the_best_frame_is_named(model: FakeModel, videos: Videos, tmp_path: Path) -> None:
    index = SearchIndex.build(model, videos(30), tmp_path / 'index')
    (hit,) = index.search('frame 7 2', top=1, rerank=False)
    assert (names([hit]), hit.frame) == (['0007.mp4'], 2)
    assert hit.score == pytest.approx(1, abs=1e-3)
    assert (hit.start, hit.end) == (None, None)


def test_a_thousand_clips_ten_more_five_less(
    model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    index = SearchIndex.build(model, videos(1000), tmp_path / 'index')
    assert (index.manifest.kind, len(model.encoded)) == ('fp16', 1000)
    assert index.add(videos(1010, start=1000)) == Changes(added=10, removed=0)
    assert len(model.encoded) == 1010
    removed = index.names[200:205]
    assert index.remove(removed) == Changes(added=0, removed=5)
    for name in removed:
        os.remove(name)
    again = SearchIndex.open(tmp_path / 'index', model)
    fresh = SearchIndex.build(model, videos(0), tmp_path / 'fresh')
    queries = ('a dog', 'a cat', 'frame 1003 1', 'frame 200 0')
    assert len(again) == len(fresh) == 1005
    assert found(again, *queries) == found(index, *queries) == found(fresh, *queries)
    assert found(again, 'frame 1003 1')[0][0][0].endswith('1003.mp4')
    assert index.add(tmp_path / 'videos') == Changes(0, 0) and len(model.encoded) == 2015


class Killed(BaseException):
    pass


def test_a_build_that_is_killed_goes_on_after_its_last_block(
    model: FakeModel, videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (building, store):
        monkeypatch.setattr(module, 'BLOCK', 16, raising=False)
    folder = tmp_path / 'index'
    fresh = SearchIndex.build(model, videos(70), tmp_path / 'fresh')
    model.encoded.clear()
    write, written = store._write_at, []

    def killed(path: Path, offset: int, data: bytes) -> None:
        written.append(path)
        if len(written) == 6:  # names and features of two blocks, names of the third
            write(path, offset, data)
            with open(path, 'ab') as file:
                file.write(b'half a li')
            raise Killed
        write(path, offset, data)

    with monkeypatch.context() as patch:
        patch.setattr(store, '_write_at', killed)
        with pytest.raises(Killed):
            SearchIndex.build(model, videos(0), folder)
    assert len(model.encoded) == 48
    with pytest.raises(ValueError, match=r'its build was stopped after 32 videos; build it again'):
        SearchIndex.open(folder, model)
    index = SearchIndex.build(model, videos(0), folder)
    assert len(model.encoded) == 48 + 70 - 32
    assert found(index, 'a dog', 'a cat') == found(fresh, 'a dog', 'a cat')
    assert found(SearchIndex.open(folder, model), 'a dog') == found(fresh, 'a dog')


def test_a_build_goes_on_with_its_own_options_only(
    model: FakeModel, videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(building, 'renew_index', killed)
        SearchIndex.build(model, videos(20), tmp_path / 'index')
    with pytest.raises(ValueError, match=r'store=float16, and this one has store=float32; delete'):
        SearchIndex.build(model, videos(0), tmp_path / 'index', store='float32')
    with pytest.raises(ValueError, match=r'identity=a+, and this one has identity=b+; delete'):
        SearchIndex.build(FakeModel(identity='b' * 64), videos(0), tmp_path / 'index')


def test_an_add_that_is_killed_leaves_the_index_as_it_was(
    model: FakeModel, videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = SearchIndex.build(model, videos(30), tmp_path / 'index')
    before = found(index, 'a dog', 'a cat')

    def killed(*args: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(store, 'write_index', killed)
        index.add(videos(40, start=30))
    again = SearchIndex.open(tmp_path / 'index', model)
    assert found(again, 'a dog', 'a cat') == before and len(again) == 30
    assert again.add(tmp_path / 'videos') == Changes(added=10, removed=0)
    assert len(model.encoded) == 40 and len(again) == 40  # encoded once
    assert names(again.search('frame 35 1', 1, rerank=False)) == ['0035.mp4']


@pytest.mark.parametrize('kind', ['fp16', 'int8', 'pq4', 'hnsw', 'ivfpq'])
def test_every_kind_agrees_with_brute_force(
    kind: Any, model: FakeModel, videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many candidates as videos, any first stage must lead to the same answers."""
    monkeypatch.setattr(kinds, 'LEAST_FRAMES', dict(pq4=624, ivfpq=256))
    brute = SearchIndex.build(model, videos(200), tmp_path / 'brute', kind='brute')
    index = SearchIndex.build(model, videos(0), tmp_path / 'index', kind=kind)
    assert (index.manifest.kind, brute.manifest.kind) == (kind, 'brute')
    assert not list((tmp_path / 'brute').glob('*.faiss'))
    gone = [index.names[3], index.names[150]]
    assert index.remove(gone) == brute.remove(gone) == Changes(0, 2)
    added = Changes(32, 0)  # the removed ones too, since their files are still there
    assert index.add(videos(230, start=200)) == brute.add(tmp_path / 'videos') == added
    index = SearchIndex.open(tmp_path / 'index', model)
    assert len(index) == len(brute) == 230
    queries = ('a dog', 'a cat', 'frame 150 3', 'frame 220 0')
    assert found(index, *queries) == found(brute, *queries)
    index.remove(gone)
    assert not {*gone} & {hit.name for hit in index.search('frame 150 3', top=228)}


@pytest.mark.parametrize('candidates', [1, 5, 20])
def test_exact_kinds_have_the_same_candidates(
    candidates: int, model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    brute = SearchIndex.build(model, videos(200), tmp_path / 'brute', kind='brute')
    index = SearchIndex.build(model, videos(0), tmp_path / 'index', kind='fp16')
    for query in ('a dog', 'a cat', 'a bird', tmp_path / 'videos/0007.mp4'):
        both = [x.search(query, candidates, candidates=candidates) for x in (brute, index)]
        assert both[0] == both[1] and len(both[0]) == candidates


def test_recall_is_measured_and_kept(model: FakeModel, videos: Videos, tmp_path: Path) -> None:
    index = SearchIndex.build(model, videos(200), tmp_path / 'index', kind='pq4')
    assert index.manifest.recall['in_top'] < 100
    assert index.manifest.recall['in_candidates'] == 100  # 400 are all
    index = SearchIndex.build(model, videos(0), tmp_path / 'exact')
    assert index.manifest.recall == {}
    assert index.measure_recall(['a dog', 'a cat'])['in_top'] == 100


@pytest.mark.parametrize('sentence', ['of the words', 'of its own'])
def test_mug_s_best_are_among_the_candidates_of_misaligned_videos(sentence: str) -> None:
    """A text describes a third of its video, whose other frames are of two other videos.

    The sentence sums up the words; or it has nothing to do with videos, since Mug alone trained it.
    """
    torch.manual_seed(0)
    videos, frames, dim, texts, tokens = 4000, 12, 64, 40, 6
    scene = torch.randn(videos, dim)
    own = scene[:, None] + 0.7 * torch.randn(videos, frames // 3, dim)
    others = [own[torch.randperm(videos)] for _ in range(2)]
    clips = torch.cat([own, *others], dim=1)
    words = scene[:texts, None] + 0.7 * torch.randn(texts, tokens, dim)
    words[:, 0] = torch.randn(dim)  # the start token is the same for all
    whole = words[:, 1:].mean(dim=1) if sentence == 'of the words' else torch.randn(texts, dim)
    text = TextFeatures(words, whole, torch.ones(texts, tokens) > 0)
    model = FakeModel(Mug(sharpness=10.0))
    mask = torch.ones(videos, frames) > 0
    index = SearchIndex.of_features(model, list(map(str, range(videos))), clips, mask)
    truth = model.interaction(text, VideoFeatures(clips, mask)).topk(10).indices
    shares: list[float] = []
    mean_shares: list[float] = []
    mean = unit(unit(clips).mean(dim=1))
    for i in range(texts):
        one = TextFeatures(*(x[i : i + 1] for x in text))
        hits = {int(hit.name) for hit in index.search(one, top=10, candidates=400)}
        shares.append(len(hits & {*truth[i].tolist()}) / 10)
        by_mean = (mean @ unit(one.sentence)[0]).topk(400).indices
        mean_shares.append(len({*by_mean.tolist()} & {*truth[i].tolist()}) / 10)
    kept, by_mean = 100 * np.mean(shares), 100 * np.mean(mean_shares)
    print(f"Mug's top 10 in 400 of {videos}: words {kept:.1f} %, mean of frames {by_mean:.1f} %")
    assert kept >= 90 > by_mean


def test_padding_is_never_found(model: FakeModel, videos: Videos, tmp_path: Path) -> None:
    model.padding = 2
    for kind in ('fp16', 'brute'):
        index = SearchIndex.build(model, videos(30), tmp_path / kind, kind=kind)
        scores = [hit.score for hit in index.search('frame 7 3', 30, rerank=False)]
        assert max(scores) < 0.99
        assert names(index.search('frame 7 1', 1, rerank=False)) == ['0007.mp4']
        again = SearchIndex.open(tmp_path / kind, model)
        assert again._searcher.table.mask.sum(1).tolist() == [2] * 30


def test_most_videos_removed_shrinks_the_files(
    model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    index = SearchIndex.build(model, videos(60), tmp_path / 'index')
    before = sum(map(len, state(tmp_path / 'index').values()))
    index.remove(index.names[:40])
    assert sum(map(len, state(tmp_path / 'index').values())) < before / 2
    again = SearchIndex.open(tmp_path / 'index', model)
    assert len(again) == 20 and again.manifest.rows == 20
    expected = exact(model, 'a dog', [*range(40, 60)])
    assert names(again.search('a dog')) == best(expected, 10)
    again.remove(again.names)
    assert SearchIndex.open(tmp_path / 'index', model).search('a dog') == []
    assert again.add(tmp_path / 'videos') == Changes(60, 0)
    assert names(again.search('frame 3 0', 1, rerank=False)) == ['0003.mp4']


def test_refresh(model: FakeModel, videos: Videos, tmp_path: Path) -> None:
    index = SearchIndex.build(model, videos(20), tmp_path / 'index')
    folder = videos(22, start=20)
    (folder / '0003.mp4').unlink()
    (folder / '0004.mp4').write_text('444')
    os.utime(folder / '0004.mp4', ns=(1, 1))
    model.encoded.clear()
    assert index.refresh() == Changes(added=3, removed=2)
    assert sorted(map(os.path.basename, model.encoded)) == ['0004.mp4', '0020.mp4', '0021.mp4']
    assert '0003.mp4' not in names(index.search('a dog', top=30))
    assert names(index.search('frame 444 0', 1, rerank=False)) == ['0004.mp4']
    assert index.refresh() == Changes(0, 0)
    folder.rename(tmp_path / 'unmounted')
    with pytest.raises(ValueError, match=r'names no video|none of the 21 videos is there'):
        index.refresh()
    assert len(SearchIndex.open(tmp_path / 'index', model)) == 21


def test_a_source_that_is_gone_does_not_end_a_refresh_for_ever(
    model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    more, listed = tmp_path / 'more', tmp_path / 'list.txt'
    more.mkdir()
    (more / 'x.mp4').write_text('77')
    listed.write_text('videos/0001.mp4\n')
    index = SearchIndex.build(model, [videos(3), more, listed], tmp_path / 'index')
    (more / 'x.mp4').unlink()
    listed.unlink()
    with pytest.raises(ValueError, match=r'more names no video.*; 1 video of the index may be'):
        index.refresh()
    index.remove(more / 'x.mp4')
    videos(4, start=3)
    assert index.refresh() == Changes(1, 0) and len(index) == 4
    (tmp_path / 'videos/0002.mp4').unlink()  # it may have been named by the list
    with pytest.raises(ValueError, match=r'list\.txt.*; 1 video of the index may be of it and is'):
        index.refresh()
    assert len(index) == 4


@pytest.mark.parametrize(
    ('source', 'path', 'may'),
    [
        ('/d', '/d/a.mp4', True),
        ('/d/**/*.mp4', '/d/a.mp4', True),
        ('/d/*/x.mp4', '/e/x.mp4', False),
        ('/d', '/dd/a.mp4', False),
        ('/b/list.csv', '/e/x.mp4', True),
    ],
)
def test_which_videos_a_source_may_have_named(source: str, path: str, may: bool) -> None:
    assert _may_be_of(source, path) is may


def test_changes_are_counted_when_most_videos_are_gone(
    model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    folder = videos(20)
    index = SearchIndex.build(model, folder, tmp_path / 'index')
    for number in range(12):
        (folder / f'{number:04}.mp4').unlink()
    assert index.refresh() == Changes(added=0, removed=12)
    assert index.manifest.rows == len(index) == 8


def test_broken_videos_are_left_out_and_tried_again(
    model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    broken = videos(10) / '0004.mp4'
    broken.write_text('broken')
    listed = [tmp_path / 'videos', tmp_path / 'missing.mp4']
    index = SearchIndex.build(model, listed, tmp_path / 'index')
    assert len(index) == 9
    assert [name for name, _ in index.broken] == [str(tmp_path / 'missing.mp4'), str(broken)]
    broken.write_text('4')
    assert index.add(tmp_path / 'videos') == Changes(1, 0) and index.broken == []
    broken.write_text('broken again')
    with pytest.raises(
        ValueError, match=r'^none of 1 videos can be read; .*0004.mp4: is no number'
    ):
        SearchIndex.build(model, broken, tmp_path / 'none')


def test_without_faiss_the_answers_are_the_same(
    model: FakeModel, videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = SearchIndex.build(model, videos(50), tmp_path / 'index')
    expected = found(index, 'a dog', 'a cat')
    monkeypatch.setitem(sys.modules, 'faiss', None)
    again = SearchIndex.open(tmp_path / 'index', model)
    assert found(again, 'a dog', 'a cat') == expected
    brute = SearchIndex.build(model, videos(0), tmp_path / 'brute')
    assert brute.manifest.kind == 'brute' and found(brute, 'a dog', 'a cat') == expected
    assert again.add(videos(52, start=50)) == Changes(2, 0)
    assert names(again.search('frame 51 0', 1, rerank=False)) == ['0051.mp4']
    needed = r'needs faiss: pip install "mmstan\[search\]"'
    with pytest.raises(ImportError, match=rf"^kind='fp16' {needed}"):
        SearchIndex.build(model, videos(0), tmp_path / 'other', kind='fp16')
    monkeypatch.setattr(kinds, 'BRUTE_CLIPS', 51)
    with pytest.raises(ImportError, match=rf'^a search of 52 videos, more than 51, {needed}'):
        SearchIndex.open(tmp_path / 'index', model)
    encoded = len(model.encoded)
    with pytest.raises(ImportError, match=needed):
        SearchIndex.build(model, videos(0), tmp_path / 'third')
    assert len(model.encoded) == encoded


def test_auto_follows_the_number_of_frames(
    model: FakeModel, videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = SearchIndex.build(model, videos(100), tmp_path / 'index')
    monkeypatch.setattr(kinds, 'EXACT_FRAMES', 700)
    index.add(videos(180, start=100))
    assert index.manifest.kind == 'pq4' and len(model.encoded) == 180
    assert names(index.search('frame 150 0', 1, rerank=False)) == ['0150.mp4']


@pytest.mark.parametrize('interaction', [Mug(video='tokens'), TightTransformer(DIM, heads=2)])
def test_interactions_that_an_index_cannot_serve(
    interaction: Any, videos: Videos, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=rf'^{type(interaction).__name__} .*: take a model'):
        SearchIndex.build(FakeModel(interaction), videos(3), tmp_path / 'index')


def test_another_model_is_refused_with_both_identities(
    model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    SearchIndex.build(model, videos(3), tmp_path / 'index')
    with pytest.raises(ValueError, match=r'built with the model a{64}, and this model is b{64}'):
        SearchIndex.open(tmp_path / 'index', FakeModel(identity='b' * 64))


def test_a_model_in_another_precision_is_named_once(
    model: FakeModel, videos: Videos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.dtype = torch.bfloat16  # as mmstan.load takes it on a GPU
    assert SearchIndex.build(model, videos(3), tmp_path / 'index').manifest.dtype == 'bfloat16'
    SearchIndex.open(tmp_path / 'index', model)
    assert 'was built in' not in ''.join(capsys.readouterr())
    MMLogger.get_instance('search', log_level='INFO')
    SearchIndex.open(tmp_path / 'index', FakeModel()).search('frame 1 2', top=1)
    said = ''.join(capsys.readouterr())
    assert said.count('was built in bfloat16, and this model runs in float32: scores differ') == 1


def test_an_index_from_before_precision_was_kept(
    model: FakeModel, videos: Videos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SearchIndex.build(model, videos(3), tmp_path / 'index')
    path = tmp_path / 'index/manifest.json'
    facts = json.loads(path.read_text())
    del facts['dtype']
    path.write_text(json.dumps(facts))
    assert SearchIndex.open(tmp_path / 'index', model).manifest.dtype == ''
    assert 'was built in' not in ''.join(capsys.readouterr())


def test_folders_that_are_in_use(model: FakeModel, videos: Videos, tmp_path: Path) -> None:
    index = SearchIndex.build(model, videos(3), tmp_path / 'index')
    with pytest.raises(FileExistsError, match=r'holds an index of 3 videos: open it and add'):
        SearchIndex.build(model, videos(0), tmp_path / 'index')
    with pytest.raises(FileExistsError, match=r'holds other files \(0000.mp4\)'):
        SearchIndex.build(model, videos(0), videos(0))
    with pytest.raises(FileNotFoundError, match=r'holds no index \(manifest.json is missing\)'):
        SearchIndex.open(tmp_path)
    other = SearchIndex.open(tmp_path / 'index', model)
    other.remove(other.names[0])
    with pytest.raises(ValueError, match='was changed by another process; open it again'):
        index.add(videos(5, start=3))
    with store.lock_folder(tmp_path / 'index'), pytest.raises(ValueError, match='being changed by'):
        other.remove(other.names[0])


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        (dict(kind='IVF'), "kind='IVF' must be one of"),
        (dict(store='int8'), "store='int8' must be one of"),
        (dict(segments=(0, 1)), r'segments=\(0, 1\) must be \(seconds, stride\)'),
        (dict(kind='pq4'), "kind='pq4' needs 624 frames, and there are 12: take 'fp16'"),
    ],
)
def test_options_that_do_not_exist(
    options: Any, says: str, model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f'^{says}'):
        SearchIndex.build(model, videos(3), tmp_path / 'index', **options)


def test_features_that_half_precision_cannot_hold(
    model: FakeModel, videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, '_embed', lambda video, on_error: 1e6 * draw(1))
    with pytest.raises(ValueError, match=r"do not fit float16: build the index with store='flo"):
        SearchIndex.build(model, videos(3), tmp_path / 'index')


def test_names_that_are_not_there_remove_nothing(
    model: FakeModel, videos: Videos, tmp_path: Path
) -> None:
    index = SearchIndex.build(model, videos(3), tmp_path / 'index')
    with pytest.raises(ValueError, match=r'^1 of 2 videos are not in .*other.mp4; give their'):
        index.remove([index.names[0], 'other.mp4'])
    assert len(index) == 3
    assert index.remove(Path(os.path.relpath(index.names[0]))) == Changes(0, 1)
