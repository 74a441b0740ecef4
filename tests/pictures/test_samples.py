import numpy as np
import pytest

from helpers.errors import InputError
from helpers.pictures.samples import find_white, refuse_labels, to_eight_bits, to_rgb
from helpers.sample_tissue.sample import sample_field


@pytest.mark.parametrize(
    ("brightest", "bits", "white"),
    [(65535, None, 65535), (40000, None, 65535), (4000, None, 4095), (1023, None, 1023), (255, None, 255)]
    + [(16000, None, 16383), (3000, 16, 65535), (20000, 16, 65535)],
)
def test_sixteen_bits_are_taken_by_the_range_that_the_brightest_fills(brightest, bits, white):
    samples = np.array([[[0, 7, brightest]]], np.uint16)
    found, note = find_white("x.tif", samples, bits)
    assert found == white
    assert f"{white} is taken as white" in note


@pytest.mark.parametrize("brightest", [0, 1, 300, 1500, 5000, 20000])
def test_a_range_that_would_be_a_guess_is_refused(brightest):
    with pytest.raises(InputError, match=rf"^x.tif: expected 16-bit samples .* found {brightest}; save it with 8 bits"):
        find_white("x.tif", np.full((2, 2, 3), brightest, np.uint16))


def test_fractions_are_from_0_to_1():
    assert find_white("x.tif", np.array([[[0, 0.5, 1]]], np.float32))[0] == 1
    for wrong in (1.01, -0.1, np.nan, 255):
        with pytest.raises(InputError, match="x.tif: expected values from 0 to 1"):
            find_white("x.tif", np.array([[[0, 0.5, wrong]]], np.float32))


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int8, bool, np.complex64])
def test_other_types_are_refused(dtype):
    with pytest.raises(InputError, match="expected 8 or 16 bits"):
        find_white("x.tif", np.ones((2, 2, 3), dtype))


def test_every_value_comes_back_from_sixteen_bits():
    values = np.arange(256, dtype=np.uint16)
    assert np.array_equal(to_eight_bits(values * 257, 65535), values)
    assert np.array_equal(to_eight_bits(values.astype(np.float32) / 255, 1), values)


def test_grey_is_repeated_and_alpha_stays():
    assert to_rgb(np.array([[[7]]], np.uint8)).tolist() == [[[7, 7, 7]]]
    assert to_rgb(np.array([[[7, 9]]], np.uint8)).tolist() == [[[7, 7, 7, 9]]]
    assert to_rgb(np.array([[[1, 2, 3]]], np.uint8)).tolist() == [[[1, 2, 3]]]


def test_labels_and_masks_are_told_from_grey():
    grey = sample_field(0)[0][:200, :200, 1]
    refuse_labels("x.png", grey)
    refuse_labels("x.png", np.full((50, 50), 240, np.uint8))  # glass
    refuse_labels("x.png", np.zeros((1, 1), np.uint8))
    ids = np.kron(np.arange(100, dtype=np.uint8).reshape(10, 10), np.ones((20, 20), np.uint8))
    for labels in (ids, (ids > 50).astype(np.uint8) * 255, ids.astype(np.uint16), ids > 3, grey.astype(np.float32)):
        with pytest.raises(InputError, match="^x.png: expected a colour picture of H&E, found one channel"):
            refuse_labels("x.png", labels)
