"""Methods without learning, on pictures whose nuclei are known."""

import warnings

import numpy as np
import pytest

from helpers.evaluation.baselines import BASELINES, DARKEST_SHARE, darkest_fifth, otsu_haematoxylin
from helpers.sample_tissue.sample import sample_field
from helpers.stain import STAIN_VECTORS, separate_stains, transmitted


def disc(size: int = 64, radius: float = 12.0) -> np.ndarray:
    """Give a mask with one round nucleus off the middle."""
    rows, columns = np.mgrid[:size, :size]
    return (rows - 25) ** 2 + (columns - 35) ** 2 < radius**2


def stained(mask: np.ndarray, spread: float = 0.0) -> np.ndarray:
    """Paint a mask in haematoxylin over a ground of eosin, with some unevenness of both."""
    random = np.random.default_rng(0)
    haematoxylin = np.where(mask, 0.8, 0.1) + spread * random.standard_normal(mask.shape)
    eosin = np.where(mask, 0.1, 0.4) + spread * random.standard_normal(mask.shape)
    return transmitted(np.stack([haematoxylin, eosin], axis=-1) @ STAIN_VECTORS)


def test_otsu_finds_a_blue_nucleus_on_a_pink_ground():
    np.testing.assert_array_equal(otsu_haematoxylin(stained(disc())), disc())


def test_otsu_bears_unevenness():
    found, truth = otsu_haematoxylin(stained(disc(), spread=0.08)), disc()
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.98


def test_otsu_takes_haematoxylin_for_nuclei_and_not_darkness():
    # The ground holds so much eosin that it is darker than the nucleus.
    mask = disc()
    image = transmitted(np.stack([np.where(mask, 0.5, 0.05), np.where(mask, 0.0, 1.5)], axis=-1) @ STAIN_VECTORS)
    assert image[mask].mean() > image[~mask].mean()
    np.testing.assert_array_equal(otsu_haematoxylin(image), mask)


def test_otsu_bears_odd_pixels():
    # Ten black pixels of 16,384: let in, they take the scale of grey levels, and pale nuclei count as ground.
    mask = disc(128)
    image = transmitted(np.stack([np.where(mask, 0.15, 0.05), np.full(mask.shape, 0.3)], axis=-1) @ STAIN_VECTORS)
    image[0, :10] = 0
    np.testing.assert_array_equal(otsu_haematoxylin(image)[1:], mask[1:])


def test_otsu_as_scikit_image_sees_it():
    filters = pytest.importorskip("skimage.filters")
    image = sample_field(0)[0]
    haematoxylin = separate_stains(image)[..., 0]
    expected = haematoxylin > filters.threshold_otsu(haematoxylin)
    found = otsu_haematoxylin(image)
    assert 0.05 < expected.mean() < 0.6
    assert (found != expected).mean() < 0.02


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (190, 120, 170)])
def test_blank_tiles_hold_nothing(name, colour):
    blank = np.empty((32, 48, 3), np.uint8)
    blank[:] = colour
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = BASELINES[name](blank)
    assert (found.shape, found.dtype, found.any()) == ((32, 48), bool, False)


def test_darkest_fifth_is_a_fifth_of_a_ramp():
    ramp = np.arange(100, dtype=np.uint8).reshape(10, 10)
    shuffled = np.random.default_rng(0).permutation(ramp.ravel()).reshape(10, 10)
    found = darkest_fifth(np.repeat(shuffled[..., None], 3, axis=-1))
    assert found.sum() == DARKEST_SHARE * 100
    np.testing.assert_array_equal(found, shuffled < 20)


def test_darkest_fifth_goes_by_the_mean_of_the_colours():
    image = np.array([[[255, 0, 0], [0, 90, 180], [91, 91, 91], [92, 92, 92], [255, 255, 255]]], np.uint8)
    np.testing.assert_array_equal(darkest_fifth(image), [[True, False, False, False, False]])


def test_darkest_fifth_is_less_where_many_pixels_are_alike():
    image = np.full((10, 10, 3), 50, np.uint8)
    image[0, :5] = 10
    image[5:] = 200
    assert darkest_fifth(image).sum() == 5  # the forty-five of 50 would make it half
