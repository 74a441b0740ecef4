"""Sizes: values by hand, and whether labels stay where their images are."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from helpers.errors import InputError
from helpers.paths import to_number
from helpers.preprocessing import (
    LABEL_RULES,
    check_image_size,
    check_scale,
    enlarge_probabilities,
    shrink_class_maps,
    shrink_images,
    shrink_instances,
)

SIZES = [64, 96, 100, 128, 256]


def disc(centre: tuple[float, float], radius: float) -> np.ndarray:
    """Draw a disc of class 1 into a class map of one tile."""
    rows, columns = np.mgrid[:256, :256]
    return ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2).astype(np.uint8)[None]


def centroid(weights: np.ndarray) -> np.ndarray:
    """Give the mean row and column of one map, in its own pixels."""
    places = np.indices(weights.shape).reshape(2, -1)
    return places @ weights.ravel().astype(float) / weights.sum()


@pytest.mark.parametrize("size", [32, 100, 256])
def test_sizes_that_a_tile_can_be_shrunk_to(size):
    check_image_size(size)


@pytest.mark.parametrize("size", [-1, 0, 31, 257, 512])
def test_other_sizes_are_refused(size):
    with pytest.raises(InputError, match=f"image size {size}: expected 32 to 256 pixels"):
        check_image_size(size)


def test_images_are_averaged_over_each_block():
    block = np.array([[[10, 0, 255], [20, 0, 255]], [[30, 0, 255], [41, 3, 253]]], np.uint8)
    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[0, :2, 2:] = block
    shrunk = shrink_images(image, 2)
    assert (shrunk.shape, shrunk.dtype) == ((1, 2, 2, 3), np.uint8)
    assert shrunk[0, 0, 1].tolist() == [25, 1, 255]  # of 25.25, 0.75 and 254.5
    assert not shrunk[0, 1].any()
    assert not shrunk[0, 0, 0].any()


@pytest.mark.parametrize("size", SIZES)
def test_mean_of_an_image_is_kept(size):
    images = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), np.uint8)
    np.testing.assert_allclose(shrink_images(images, size).mean((1, 2)), images.mean((1, 2)), atol=0.15)  # halves go up


@pytest.mark.parametrize(
    ("block", "nearest", "majority"),
    [
        ([[1, 0], [0, 0]], 1, 0),  # a quarter is nucleus
        ([[0, 3], [3, 3]], 0, 3),
        ([[0, 0], [3, 3]], 0, 3),  # one half is enough
        ([[0, 4], [0, 4]], 0, 4),
        ([[0, 5], [2, 0]], 0, 2),  # half is nucleus, the classes level: the first
        ([[4, 2], [2, 0]], 4, 2),  # most of the nucleus is of class 2
        ([[5, 5], [5, 1]], 5, 5),
        ([[0, 0], [0, 0]], 0, 0),
    ],
)
def test_labels_of_a_block_by_hand(block, nearest, majority):
    block = np.array([block], np.uint8)
    assert shrink_class_maps(block, 1, "nearest").tolist() == [[[nearest]]]
    assert shrink_class_maps(block, 1, "majority").tolist() == [[[majority]]]


def test_half_of_a_pixel_is_enough_where_sizes_do_not_divide():
    # 256 / 96 = 8/3: the second new row covers the old ones from 8/3 to 16/3, and 4 is its middle.
    class_map = np.zeros((1, 256, 256), np.uint8)
    class_map[0, 4:] = 3
    shrunk = shrink_class_maps(class_map, 96, "majority")
    assert np.unique(shrunk[0, 0]).tolist() == [0]
    assert np.unique(shrunk[0, 1:]).tolist() == [3]


@pytest.mark.parametrize("centre", [(127.5, 127.5), (90.0, 160.0), (100.3, 60.8)])
def test_majority_keeps_a_nucleus_where_its_image_is(centre):
    nucleus = disc(centre, 50)
    image = shrink_images(np.repeat(nucleus[..., None] * 200, 3, axis=-1), 128)[0, ..., 0]
    labels = shrink_class_maps(nucleus, 128, "majority")[0]
    np.testing.assert_allclose(centroid(labels), centroid(image), atol=0.1)


@pytest.mark.parametrize("centre", [(127.5, 127.5), (90.0, 160.0), (100.3, 60.8)])
def test_nearest_moves_a_nucleus_by_half_a_full_size_pixel(centre):
    nucleus = disc(centre, 50)
    image = shrink_images(np.repeat(nucleus[..., None] * 200, 3, axis=-1), 128)[0, ..., 0]
    labels = shrink_class_maps(nucleus, 128, "nearest")[0]
    moved = 2 * (centroid(labels) - centroid(image))  # in full-size pixels; down and right are positive
    np.testing.assert_allclose(moved, [0.5, 0.5], atol=0.12)


@pytest.mark.parametrize("labels", LABEL_RULES)
def test_full_size_changes_nothing(labels):
    random = np.random.default_rng(0)
    images, class_maps = (
        random.integers(0, 256, (2, 256, 256, 3), np.uint8),
        random.integers(0, 6, (2, 256, 256), np.uint8),
    )
    np.testing.assert_array_equal(shrink_images(images, 256), images)
    np.testing.assert_array_equal(shrink_class_maps(class_maps, 256, labels), class_maps)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("labels", LABEL_RULES)
@pytest.mark.parametrize("value", [0, 5])
def test_blank_tiles_stay_blank(size, labels, value):
    assert np.unique(shrink_images(np.full((1, 256, 256, 3), 51 * value, np.uint8), size)).tolist() == [51 * value]
    class_maps = shrink_class_maps(np.full((1, 256, 256), value, np.uint8), size, labels)
    assert (class_maps.shape, class_maps.dtype) == ((1, size, size), np.uint8)
    assert np.unique(class_maps).tolist() == [value]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("labels", LABEL_RULES)
def test_shrunk_nuclei_keep_numbers_wherever_there_is_a_class(size, labels):
    # Small nuclei of 5 classes, so close that the majority often lies where background is read.
    rows, columns = np.indices((256, 256))
    instances = np.where((rows % 7 < 4) & (columns % 5 < 4), rows // 7 * 100 + columns // 5 + 70_000, 0)[None]
    class_maps = np.where(instances > 0, instances % 5 + 1, 0).astype(np.uint8)
    shrunk = shrink_class_maps(class_maps, size, labels)
    numbers = shrink_instances(instances, shrunk, labels)
    assert (numbers.shape, numbers.dtype) == (shrunk.shape, instances.dtype)
    np.testing.assert_array_equal(numbers > 0, shrunk > 0)
    if labels == "nearest" or size == 256:  # class and number are then read at one place
        np.testing.assert_array_equal(numbers[shrunk > 0] % 5 + 1, shrunk[shrunk > 0])
    # A number comes from within its nucleus or, where background was read, from the nearest: 7 pixels at most.
    where = np.argwhere(numbers[0] > 0)
    middle = (where + 0.5) * 256 / size
    number = numbers[0][tuple(where.T)] - 70_000
    nearest = np.stack([number // 100 * 7 + 2, number % 100 * 5 + 2], axis=1)
    assert np.abs(middle - nearest).max() < 2 + 3 + 256 / size


def test_shrunk_tiles_without_nuclei_have_no_numbers():
    assert not shrink_instances(np.zeros((2, 8, 8), np.int64), np.zeros((2, 4, 4), np.uint8), "majority").any()


def test_unknown_rule_is_refused():
    with pytest.raises(InputError, match="labels 'median': expected one of nearest, majority"):
        shrink_class_maps(np.zeros((1, 4, 4), np.uint8), 2, "median")


def test_enlarging_by_hand():
    enlarged = enlarge_probabilities(np.array([[[0, 1], [0, 1]]], np.float32), 4)
    np.testing.assert_allclose(enlarged, [[[0, 0.25, 0.75, 1]] * 4])


@pytest.mark.parametrize("size", [64, 100, 128, 256])
def test_enlarging_keeps_centres_as_torch_does(size):
    probabilities = np.random.default_rng(0).random((2, size, size), np.float32)
    expected = F.interpolate(
        torch.from_numpy(probabilities)[:, None], (256, 256), mode="bilinear", align_corners=False
    )[:, 0].numpy()
    enlarged = enlarge_probabilities(probabilities, 256)
    assert (enlarged.shape, enlarged.dtype) == ((2, 256, 256), np.float32)
    np.testing.assert_allclose(enlarged, expected, atol=1e-5)


def test_shrinking_and_enlarging_lead_back_to_the_same_place():
    nucleus = disc((101, 77), 40)
    back = enlarge_probabilities(shrink_class_maps(nucleus, 128, "majority").astype(np.float32), 256)[0]
    np.testing.assert_allclose(centroid(back), [101, 77], atol=0.1)


# Scales.


@pytest.mark.parametrize(
    "um_per_px", ["0.5", " 0.50 ", np.str_("0.5"), np.float32(0.5), np.array(0.5), np.array("0.5"), Fraction(1, 2)]
)
def test_a_scale_may_be_a_number_in_any_dress(um_per_px):
    number = check_scale(um_per_px)
    assert (type(number), number) == (float, 0.5)


@pytest.mark.parametrize("one", [1, np.int64(1), "1"])
def test_one_is_a_scale_and_true_is_none(one):
    assert check_scale(one) == 1
    for true in (True, np.True_, np.array(True)):
        with pytest.raises(InputError, match="um_per_px: expected 0.1 to 1.0"):
            check_scale(true)


@pytest.mark.parametrize(
    "um_per_px",
    [0, -0.25, 0.01, 40, 10**400, float("nan"), float("inf"), "nan", "inf", "-0.25", "", "40x", "0,25", "True", b"0.25"]
    + [None, 0.25j, [0.25], np.array([0.25]), {}],
)
def test_impossible_scales_are_refused(um_per_px):
    with pytest.raises(InputError, match="^um_per_px: expected 0.1 to 1.0 micrometres a pixel .*, found"):
        check_scale(um_per_px)


def test_what_is_no_number_is_nan():
    assert [to_number(value) for value in ("2", np.int8(2), 2)] == [2, 2, 2]
    assert all(np.isnan(to_number(value)) for value in (True, None, "x", [2]))
