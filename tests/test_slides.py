"""Slides from file to files with the shipped network: the same as in memory, and memory that does not grow."""

import numpy as np
import pytest
import tifffile
from made_slides import PREDICT, STATUS, in_a_disc, peak_megabytes, write_slide
from nightly import NIGHTLY

import helpers
from helpers.pictures.reading import open_picture

pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell a process's peak of memory")
SIDE = 4000


def at_a_seam(row: int, column: int) -> bool:
    """Tell of the one field in which four blocks of a slide of 4,000 pixels meet, and of one of 2,668 too."""
    return row == column == 2


def test_a_slide_is_predicted_like_its_array_in_memory_that_does_not_grow(tmp_path):
    slide = write_slide(tmp_path / "slide.tif", SIDE, at_a_seam)
    smaller = write_slide(tmp_path / "smaller.tif", 2668, at_a_seam)  # its blocks are as large
    # An overlay would grow with the picture, to 75 MB.
    save = "labels", "geojson", "csv"
    (peak, _), (of_smaller, _) = (peak_megabytes(PREDICT, path, tmp_path / "out", *save) for path in (slide, smaller))
    with open_picture(slide) as picture:
        image = picture.read(0, 0, SIDE, SIDE)
    expected = helpers.predict(image, um_per_px=0.25)
    assert len(expected.nuclei) > 50
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/slide.labels.tif"), expected.instances)
    assert peak < of_smaller + 100  # the whole picture's maps would take 24 bytes for each of 9 million pixels more


@pytest.mark.skipif(not NIGHTLY, reason="some minutes: tried every night")
def test_a_large_slide_takes_no_more_than_its_blocks(tmp_path):
    slide = write_slide(tmp_path / "slide.tif", 20_000, in_a_disc(20_000))
    peak, _ = peak_megabytes(PREDICT, slide, tmp_path / "out")
    assert peak < 1500
    with tifffile.TiffFile(tmp_path / "out/slide.labels.tif") as labels:
        assert labels.pages[0].shape == (20_000, 20_000)
