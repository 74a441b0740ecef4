"""What is taken as a picture, and what is said of one that is odd."""

import warnings

import numpy as np
import pytest

from helpers.errors import InputError
from helpers.pictures.checks import check_array, warn_about, warn_about_picture
from helpers.pictures.picture import ArrayPicture
from helpers.pictures.survey import survey
from helpers.sample_tissue.sample import sample_field


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    return sample_field(0)[0][:128, :160]


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((8, 8), np.uint8), r"uint8 \(8, 8\)"),
        (np.zeros((8, 8, 1), np.uint8), r"uint8 \(8, 8, 1\)"),
        (np.zeros((8, 8, 2), np.uint8), r"uint8 \(8, 8, 2\)"),
        (np.zeros((8, 8, 5), np.uint8), r"uint8 \(8, 8, 5\)"),
        (np.zeros((1, 8, 8, 3), np.uint8), r"uint8 \(1, 8, 8, 3\)"),
        (np.zeros((8, 8, 3)), r"float64 \(8, 8, 3\)"),
        (np.zeros((8, 8, 3), np.uint16), r"uint16 \(8, 8, 3\)"),
        (np.zeros((8, 8, 3), bool), r"bool \(8, 8, 3\)"),
        ([[1, 2, 3]], "list"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(image, found):
    with pytest.raises(InputError, match=rf"^image: expected an RGB array .* of uint8, found {found}; convert it"):
        check_array(image)


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(InputError, match=r"at least one pixel, found \(0, 8, 3\)"):
        check_array(np.zeros((0, 8, 3), np.uint8))


def test_a_good_picture_raises_no_warning(tissue):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_about(tissue)
        warn_about(np.dstack([tissue, np.full(tissue.shape[:2], 255, np.uint8)]))


def told(image: np.ndarray) -> list[str]:
    """Give all that is said of a picture, without its name."""
    picture = ArrayPicture(image, "a.png")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_about_picture(picture, survey(picture, 0.25), 0.25)
    assert all(str(entry.message).startswith("a.png: ") for entry in caught)
    return [str(entry.message).removeprefix("a.png: ") for entry in caught]


def test_of_a_picture_of_other_colours_nothing_is_said_of_ink():
    grey = np.repeat(sample_field(0)[0][..., 1:2], 3, axis=2)
    (text,) = told(grey)
    assert text.startswith("the colours are not those of haematoxylin and eosin")


def test_what_is_black_beyond_the_edge_is_no_ink():
    image = sample_field(0)[0].copy()
    image[:100] = 0
    (text,) = told(image)
    assert "black or transparent to the border" in text


def test_ink_on_tissue_is_said():
    image = sample_field(0)[0].copy()
    image[100:200, 60:200] = (40, 60, 170)
    (text,) = told(image)
    assert "look like pen marks" in text
