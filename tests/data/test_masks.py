"""Instance masks: the class of a pixel, the number of a nucleus, and how many there are."""

import numpy as np
import pytest

from helpers.data.masks import MOST_NUCLEI, Numbers, class_maps_from_masks, count_instances, number_instances
from helpers.errors import InputError


def test_a_pixel_of_two_classes_takes_the_first():
    masks = np.zeros((1, 1, 4, 6))
    masks[0, 0, 0, [1, 3]] = 9, 8
    masks[0, 0, 1, [0, 4]] = 1, 3500
    masks[0, 0, 2, [2, 5]] = 4, 1  # the background says otherwise
    assert class_maps_from_masks(masks).tolist() == [[[2, 1, 3, 0]]]


def test_a_pixel_of_two_classes_takes_the_first_nucleus_too():
    masks = np.zeros((1, 1, 4, 6), np.int32)
    masks[0, 0, 0, [1, 3]] = 9, 8
    masks[0, 0, 1, 1] = 9
    masks[0, 0, 2, 3] = 8
    masks[0, 0, 3, 3] = 9
    both, first, second, same_id = number_instances(masks, class_maps_from_masks(masks))[0, 0].tolist()
    assert both == first
    assert len({0, first, second, same_id}) == 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_numbers_of_nuclei_are_whole_in_every_dtype(dtype):
    masks = np.zeros((1, 1, 2, 6), dtype)
    masks[0, 0, :, 4] = 255, 254
    numbers = number_instances(masks, class_maps_from_masks(masks))
    assert numbers.dtype == np.int64
    assert numbers[0, 0].tolist() == [255 * 5 + 4, 254 * 5 + 4]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint32", "uint64"])
@pytest.mark.parametrize(
    ("numbers", "count"),
    [
        ([0], 0),
        ([1], 1),
        ([3, 7, 7, 3500], 3),  # not consecutive
        ([255, 256, 257, 511, 512], 5),  # equal two by two if they were cut to eight bits
        ([5, 999_999], 2),
        ([5, 1_000_000, 1_000_000], 2),
        ([5, 2_000_001, 2**31], 3),
    ],
)
def test_instances_are_counted(dtype, numbers, count):
    assert count_instances(np.array([0, *numbers, 0]).astype(dtype)) == count


@pytest.mark.parametrize(
    "numbers",
    [np.array([2**63, 2**63 + 1], np.uint64), np.array([1e300, 4.0]), np.array([0, 7, 7, 2048], np.float16)],
)
def test_instances_of_odd_dtypes_are_counted(numbers):
    assert count_instances(numbers) == 2


def test_nuclei_are_numbered_within_their_picture():
    numbers = Numbers(["p", "", "q", "p", ""])
    tiles = [[[0, 70], [70, 12]], [[70, 0]], [[12, 12]], [[12, 5], [0, 70]], [[9, 70]]]
    found = [numbers.of_tile(np.array(tile)) for tile in tiles]
    assert {tile.dtype for tile in found} == {np.dtype(np.uint16)}
    assert (found[0] == [[0, 2], [2, 1]]).all()
    assert found[1].tolist() == [[1, 0]]  # a picture of its own
    assert found[2].tolist() == [[1, 1]]
    assert (found[3] == [[1, 3], [0, 2]]).all()  # 12 and 70 as before, 5 is new
    assert found[4].tolist() == [[1, 2]]
    assert numbers.known == {}  # nothing is kept of what is finished


def test_more_nuclei_than_numbers_are_refused():
    numbers, nuclei = Numbers(["slide"] * 3), np.arange(1, MOST_NUCLEI + 1)
    assert numbers.of_tile(nuclei[None, :60_000]).max() == 60_000
    assert numbers.of_tile(nuclei[None]).max() == 65_535
    with pytest.raises(InputError, match="slide: expected at most 65,535 nuclei in one source image, found more"):
        numbers.of_tile(np.array([[MOST_NUCLEI + 1]]))
