import numpy as np
import pytest
from mmaction.datasets.transforms import RandomCrop

from mmstan.registry import TRANSFORMS


def crop(kind: str, boxes: list[list[float]]) -> np.ndarray:
    np.random.seed(0)
    results = dict(
        img_shape=(64, 65),
        imgs=[np.zeros((64, 65, 3), np.uint8)],
        gt_bboxes=np.array(boxes, np.float32),
        proposals=np.array(boxes, np.float32),
    )
    transform = TRANSFORMS.build(dict(type=kind, size=64))
    assert isinstance(transform, RandomCrop)
    return transform(results)['gt_bboxes']


def test_a_box_of_which_less_than_a_fifth_is_left_becomes_empty() -> None:
    # The crop is [0, 64): clipped to 63, of 10 columns 1, 2 and 3 are left, or all.
    boxes = [[x, 10.0, x + 10, 30] for x in (62.0, 61.0, 60.0, 20.0)]
    stock, ours = crop('mmaction.RandomCrop', boxes), crop('mmstan.RandomBoxCrop', boxes)
    assert stock[:, 2].tolist() == [63, 63, 63, 30]
    np.testing.assert_array_equal(ours[1:], stock[1:])
    assert ours[0].tolist() == [62, 10, 62, 10]


@pytest.mark.parametrize('boxes', [[], [[0.0, 0, 20, 20]]])
def test_boxes_in_the_crop_stay(boxes: list[list[float]]) -> None:
    rows = np.reshape(boxes, (-1, 4)).tolist()
    if rows:
        np.testing.assert_array_equal(crop('mmstan.RandomBoxCrop', rows), rows)
