from pathlib import Path

import pytest

from mmstan.prepare.class_names import match_classes, name_classes


def test_names_become_words_and_are_sorted() -> None:
    classes = name_classes(['brush_hair', 'USA', 'ApplyEyeMakeup', 'a person runs', 'YoYo'])
    assert classes.names == ['USA', 'a person runs', 'apply eye makeup', 'brush hair', 'yo yo']
    assert classes.numbers['brush_hair'] == 3
    assert 'brush_hair -> brush hair' in classes.notes[0]


def test_names_may_be_kept() -> None:
    classes = name_classes(['brush_hair', 'YoYo'], keep=True)
    assert (classes.names, classes.notes) == (['YoYo', 'brush_hair'], [])


def test_numbers_are_names_in_the_order_of_numbers() -> None:
    classes = name_classes(['0', '10', '2'])
    assert classes.numbers == {'0': 0, '2': 1, '10': 2}
    assert classes.notes[0].startswith('the labels are numbers, which the text tower reads as')


def test_the_numbers_of_a_list_are_left_out() -> None:
    assert name_classes(['001.run', '002.Walk_away']).names == ['Walk away', 'run']
    assert name_classes(['1 run', 'walk']).names == ['1 run', 'walk']


@pytest.mark.parametrize(
    ('labels', 'problem'),
    [
        (['BrushHair', 'brush_hair'], "'BrushHair' and 'brush_hair' both become the class 'brush"),
        (['name', 'run'], "'name' looks like a header"),
    ],
)
def test_labels_that_are_refused(labels: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        name_classes(labels)


def test_a_file_gives_order_and_choice(tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('walk\nbrush hair\n')
    classes = match_classes(['brush_hair', 'run', 'walk'], tmp_path / 'names.txt')
    assert (classes.names, classes.numbers) == (
        ['walk', 'brush hair'],
        {'brush_hair': 1, 'walk': 0},
    )
    assert classes.notes == ['classes that names.txt does not name: run']
    numbered = match_classes(['0', '1'], tmp_path / 'names.txt')
    assert (numbered.names, numbered.numbers) == (['walk', 'brush hair'], {'0': 0, '1': 1})
    with pytest.raises(ValueError, match="begin at 1, and 'walk' is class 0; count them from"):
        match_classes(['1', '2'], tmp_path / 'names.txt')
    with pytest.raises(ValueError, match=r"none of its names \('walk', 'brush hair'\) is a class"):
        match_classes(['swim'], tmp_path / 'names.txt')
