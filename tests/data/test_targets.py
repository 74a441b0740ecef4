"""What is learnt of single nuclei: interiors that never touch, and borders of tiles that are no outline."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from helpers.data.targets import interior_map


def discs(size: int = 96, seed: int = 0) -> np.ndarray:
    """Draw nuclei that touch in every direction: the cells around points, cut at a distance."""
    points = np.random.default_rng(seed).uniform(0, size, (24, 2))
    distance, nearest = cKDTree(points).query(np.argwhere(np.ones((size, size), bool)))
    return np.where(distance < 14, nearest + 1, 0).reshape(size, size)


@pytest.mark.parametrize("axis", [0, 1])
def test_nuclei_that_touch_end_up_four_pixels_apart(axis):
    instances = np.repeat([[1] * 10 + [2] * 10], 12, axis=0)
    (interior,) = interior_map(instances if axis else instances.T)
    expected = np.repeat([[1.0] * 8 + [0.0] * 4 + [1.0] * 8], 12, axis=0)
    np.testing.assert_array_equal(interior, expected if axis else expected.T)


@pytest.mark.parametrize("seed", range(5))
def test_interiors_of_nuclei_that_touch_anywhere_are_apart(seed):
    instances = discs(seed=seed)
    assert (ndimage.grey_dilation(instances, 3) != instances)[instances > 0].any()  # they do touch
    inside = interior_map(instances)[0] > 0
    assert len(np.unique(instances[inside])) > 10
    # No two pixels of different nuclei are closer than four pixels and a bit: three lie between them.
    places, of_nucleus = np.argwhere(inside), instances[inside]
    pairs = cKDTree(places).query_pairs(3.5, output_type="ndarray")
    assert len(pairs)
    assert (of_nucleus[pairs[:, 0]] == of_nucleus[pairs[:, 1]]).all()


def test_a_ring_is_taken_off_towards_background():
    instances = np.zeros((20, 20), np.int64)
    instances[5:15, 5:15] = 3
    (interior,) = interior_map(instances)
    expected = np.zeros((20, 20))
    expected[7:13, 7:13] = 1
    np.testing.assert_array_equal(interior, expected)


def test_the_border_of_a_tile_is_no_outline():
    instances = np.zeros((12, 12), np.int64)
    instances[:6, :6] = 1
    (interior,) = interior_map(instances)
    expected = np.zeros((12, 12))
    expected[:4, :4] = 1
    np.testing.assert_array_equal(interior, expected)


def test_a_nucleus_all_over_and_an_empty_tile():
    for value in (0, 1, 65_535):
        interior = interior_map(np.full((7, 5), value))
        assert (interior.shape, interior.dtype) == ((1, 7, 5), np.float32)
        assert np.unique(interior).tolist() == [float(value > 0)]


@pytest.mark.parametrize("factor", [1, 7, 2**11, 2**40])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_numbers_of_nuclei_change_nothing(factor, dtype):
    instances = discs()
    np.testing.assert_array_equal(interior_map((instances * factor).astype(dtype)), interior_map(instances))


def test_what_is_given_is_not_changed():
    instances = discs()
    before = instances.copy()
    interior_map(instances)
    np.testing.assert_array_equal(instances, before)
