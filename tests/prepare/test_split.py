from collections import Counter, defaultdict

import pytest

from mmstan.prepare.entries import Entry
from mmstan.prepare.split import check_shares, divide, group_by_name

SHARES = (0.8, 0.1, 0.1)


def entries(**counts: int) -> list[Entry]:
    return [
        Entry(f'/v/{label}/{i}', f'{label}/{i}', label)
        for label, count in counts.items()
        for i in range(count)
    ]


def count(splits: dict[Entry, str], label: str) -> tuple[int, ...]:
    counts = Counter(split for entry, split in splits.items() if entry.label == label)
    return counts['train'], counts['val'], counts['test']


def test_every_class_is_divided_by_the_shares() -> None:
    splits = divide(entries(a=2, b=3, c=10, d=100), {}, SHARES, 0)
    assert [count(splits, label) for label in 'abcd'] == [
        (1, 1, 0), (1, 1, 1), (8, 1, 1), (80, 10, 10),
    ]  # fmt: skip
    assert count(divide(entries(a=10), {}, (0.7, 0.3, 0.0), 0), 'a') == (7, 3, 0)
    assert count(divide(entries(a=2), {}, (0.1, 0.45, 0.45), 0), 'a') == (1, 1, 0)


def test_the_seed_alone_decides() -> None:
    videos = entries(a=20, b=20)
    first = divide(videos, {}, SHARES, 0)
    assert divide(videos, {}, SHARES, 0) == first
    assert divide(videos, {}, SHARES, 1) != first
    more = divide([*videos, *entries(c=5)], {}, SHARES, 0)
    assert {entry: more[entry] for entry in videos} == first  # new classes leave the others alone


def test_groups_stay_whole() -> None:
    names = [f'{label}/v_g{g:02}_c{c}.avi' for label in 'ab' for g in range(10) for c in range(5)]
    videos = [Entry(f'/{name}', name, name[0]) for name in names]
    groups, unmatched = group_by_name(videos, r'(.*)_c\d+')
    assert unmatched == 0 and len(set(groups.values())) == 20
    splits = divide(videos, {entry: [name] for entry, name in groups.items()}, SHARES, 0)
    found = defaultdict(set)
    for entry, split in splits.items():
        found[groups[entry]].add(split)
    assert all(len(kinds) == 1 for kinds in found.values())
    assert count(splits, 'a') == count(splits, 'b') == (40, 5, 5)


def test_groups_may_be_of_several_classes_and_training_keeps_all_of_these() -> None:
    videos = [Entry(f'/{c}/p{p}', f'{c}/p{p}', c) for c in 'abc' for p in range(4)]
    groups, _ = group_by_name(videos, r'p\d')
    splits = divide(videos, {entry: [name] for entry, name in groups.items()}, SHARES, 0)
    assert {count(splits, label) for label in 'abc'} == {(2, 1, 1)}


def test_groups_that_are_linked_are_one() -> None:
    videos = entries(a=4)
    links = dict(zip(videos, (['x'], ['y'], ['x', 'y'], ['z'])))
    splits = divide(videos, links, SHARES, 0)
    assert len({splits[video] for video in videos[:3]}) == 1
    assert splits[videos[3]] != splits[videos[0]]
    with pytest.raises(ValueError, match='4 videos in 1 group that must stay together'):
        divide(videos, {video: ['x'] for video in videos}, SHARES, 0)


@pytest.mark.parametrize('shares', [(1.0,), (0.8, 0.1), (0.5, 0.6, -0.1), (1, 0, 0), (0, 0.5, 0.5)])
def test_shares_that_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r'--split .*: give the shares of training, validation'):
        check_shares(shares)


def test_patterns_that_are_refused() -> None:
    with pytest.raises(ValueError, match=r"--group '\(' is no regular expression"):
        group_by_name(entries(a=2), '(')
    with pytest.raises(ValueError, match="--group 'x' fits none of 2 names, such as a/0, a/1"):
        group_by_name(entries(a=2), 'x')
    assert group_by_name(entries(a=2), '0')[1] == 1
