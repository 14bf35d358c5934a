import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.offsetbox import TextArea

from mmstan.visualization import Hit, Win
from mmstan.visualization.wins import _MARK, draw_caption

HIT = Hit(np.zeros((2, 8, 8, 3), np.uint8), 'a', 1, 0.5, truth=True)


@pytest.mark.parametrize(
    'words',
    [
        ['x' * 91, 'well-worn', 'spoon', 'red', 'end'],  # the word with a hyphen crosses the margin
        ['a', 'spoon', 'of', 'red', '--', 'wine'] * 20,
        ['x' * 120, 'a-b', '-', 'red'],
    ],
)
def test_the_words_of_a_caption_keep_their_places(words: list[str]) -> None:
    axes = Figure().add_subplot()
    draw_caption(axes, Win(words, {3}, 'the note', (HIT, HIT)))
    *shown, note = axes.findobj(TextArea)
    assert [area.get_text() for area in shown] == words and note.get_text() == 'the note'
    assert [area.get_text() for area in shown if area._text.get_color() == _MARK] == ['red']
