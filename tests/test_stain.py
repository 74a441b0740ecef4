"""Optical density and stain separation: values worked by hand, and scikit-image's answer."""

import warnings

import numpy as np
import pytest

from helpers.errors import InputError
from helpers.stain import STAIN_VECTORS, optical_density, separate_stains, transmitted


@pytest.fixture
def images() -> np.ndarray:
    """Two small images of every kind of pixel."""
    return np.random.RandomState(0).randint(0, 256, (2, 16, 12, 3)).astype(np.uint8)


def stained(haematoxylin: float, eosin: float) -> np.ndarray:
    """A 4 x 4 image of one colour, stained with so much of each."""
    density = haematoxylin * STAIN_VECTORS[0] + eosin * STAIN_VECTORS[1]
    return transmitted(np.broadcast_to(density, (4, 4, 3)))


def test_optical_density_by_hand():
    # (I + 1) / 256 = 1, 1/2, 1/16, 1/256, so -log10 of it is 0, 1, 4 and 8 times log10(2).
    density = optical_density(np.array([[255, 127, 15], [0, 0, 0]], np.uint8))
    assert density.dtype == np.float32
    np.testing.assert_allclose(density, np.log10(2) * np.array([[0, 1, 4], [8, 8, 8]]), rtol=1e-6)


def test_density_and_brightness_are_inverses():
    levels = np.arange(256, dtype=np.uint8).reshape(-1, 1).repeat(3, axis=1)
    np.testing.assert_array_equal(transmitted(optical_density(levels)), levels)


def test_densities_of_stains_add_up():
    # Light through both stains is light through one, then through the other: fractions multiply.
    both, first, second = (
        (stained(*amounts)[0, 0].astype(float) + 1) / 256 for amounts in ((0.5, 0.4), (0.5, 0), (0, 0.4))
    )
    np.testing.assert_allclose(both, first * second, atol=1 / 256)


def test_stain_vectors_have_length_one():
    assert STAIN_VECTORS.shape == (2, 3)
    np.testing.assert_allclose(np.linalg.norm(STAIN_VECTORS, axis=1), 1.0)


@pytest.mark.parametrize("amounts", [(0.0, 0.0), (0.6, 0.0), (0.0, 0.5), (0.7, 0.3)])
def test_separation_finds_what_was_mixed(amounts):
    concentrations = separate_stains(stained(*amounts))
    assert concentrations.shape == (4, 4, 2)
    assert concentrations.dtype == np.float32
    # Rounding to grey levels moves a density by up to about half a level in a hundred.
    np.testing.assert_allclose(concentrations, np.broadcast_to(amounts, (4, 4, 2)), atol=0.01)


@pytest.mark.parametrize("level", [0, 255])
def test_blank_tiles_are_no_trouble(level):
    blank = np.full((3, 8, 8, 3), level, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        concentrations = separate_stains(blank)
    assert np.isfinite(concentrations).all()
    assert (concentrations >= 0).all()
    assert (concentrations == 0).all() == (level == 255)


def test_batches_and_single_images_agree(images):
    np.testing.assert_array_equal(separate_stains(images)[1], separate_stains(images[1]))


def test_agrees_with_scikit_image_on_any_pixel(images):
    color = pytest.importorskip("skimage.color", reason="scikit-image is not installed: nothing to compare with")
    # Its own way for two stains: the third vector is the cross product of the two. It takes natural logarithms over
    # log(1e-6), we take decimal ones: a factor of 6. It gets (I + 1) / 256 to see the same brightness as we do.
    matrix = np.vstack([STAIN_VECTORS, np.cross(STAIN_VECTORS[0], STAIN_VECTORS[1])])
    expected = color.separate_stains((images + 1.0) / 256, np.linalg.inv(matrix))[..., :2] * 6
    np.testing.assert_allclose(separate_stains(images), expected, atol=1e-5)


def test_agrees_with_rgb2hed_where_there_is_nothing_but_h_and_e():
    color = pytest.importorskip("skimage.color", reason="scikit-image is not installed: nothing to compare with")
    # Its third stain is DAB; without any brown the two decompositions must name the same amounts. Its vectors are
    # 0.2 to 0.3 per cent off length one, hence the norm.
    image = stained(0.7, 0.3)
    norms = np.linalg.norm(color.rgb_from_hed[:2], axis=1)
    expected = color.rgb2hed((image + 1.0) / 256)[..., :2] * 6 * norms
    np.testing.assert_allclose(separate_stains(image), expected, atol=0.02)


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_other_images_are_refused(bad):
    with pytest.raises(InputError, match="expected uint8"):
        separate_stains(bad)
