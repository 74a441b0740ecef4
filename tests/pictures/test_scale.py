"""The scale: a person's word first, then the file's if it can be a microscope's, then an assumption that is told."""

import math
import warnings

import numpy as np
import pytest

from helpers.errors import InputError, InputWarning
from helpers.pictures.picture import ArrayPicture
from helpers.pictures.scale import resolve_scale
from helpers.pictures.told_scale import Told, choose_scale

PIXEL = np.zeros((1, 1, 3), np.uint8)


def picture(x: float, y: float | None = None, source: str = "TIFF resolution") -> ArrayPicture:
    return ArrayPicture(PIXEL, "a.tif", *choose_scale([Told(x, x if y is None else y, source)]))


@pytest.mark.parametrize("um_per_px", [0.1, 0.2527, 0.5, 1.0])
def test_the_file_s_scale_is_taken_without_a_word(um_per_px):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_scale(picture(um_per_px), None) == um_per_px


def test_the_given_scale_goes_before_the_file_s():
    assert resolve_scale(picture(2.0), "0.5") == 0.5
    assert resolve_scale(picture(0.25, 0.5), 0.5) == 0.5
    with pytest.raises(InputError, match="um_per_px: expected 0.1 to 1.0"):
        resolve_scale(picture(0.25), 0)


@pytest.mark.parametrize(
    ("told", "found"),
    [(352.8, "352.8 um/px"), (84.67, "84.67 um/px"), (0.0, "0 um/px"), (-0.25, "-0.25 um/px")]
    + [(math.nan, "no number"), (math.inf, "inf um/px"), (1e-9, "1e-09 um/px")],
)
def test_what_is_no_microscope_s_is_told_and_not_used(told, found):
    with pytest.warns(
        InputWarning, match=rf"^a.tif: expected a scale, found {found} \(TIFF resolution\), .* 0.25 um/px"
    ):
        assert resolve_scale(picture(told), None) == 0.25


def test_without_any_the_tiles_scale_is_assumed():
    with pytest.warns(InputWarning, match=r"found none: 0.25 um/px \(40x\) is assumed") as caught:
        assert resolve_scale(ArrayPicture(PIXEL), None) == 0.25
    assert caught[0].filename == __file__


@pytest.mark.parametrize("um_per_px", [0.05, 1.01, 2.0, 8.0])
def test_a_microscope_s_scale_at_which_nuclei_cannot_be_told_is_refused(um_per_px):
    with pytest.raises(InputError, match=rf"^a.tif: expected 0.1 to 1.0 um/px, .* found {um_per_px:g} um/px \(TIFF"):
        resolve_scale(picture(um_per_px), None)


def test_pixels_that_are_nearly_square_keep_their_area():
    assert resolve_scale(picture(0.2500, 0.2520), None) ** 2 == pytest.approx(0.25 * 0.252)
    with pytest.raises(InputError, match=r"expected square pixels, found 0.25 x 0.253 um \(TIFF resolution\)"):
        resolve_scale(picture(0.25, 0.253), None)
