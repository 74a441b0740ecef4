"""Where it is worth looking on a picture, and how much tissue there is."""

import numpy as np
import pytest

from helpers.pictures.picture import ArrayPicture
from helpers.pictures.survey import survey


@pytest.fixture
def picture() -> ArrayPicture:
    image = np.full((900, 1300, 3), 243, np.uint8)
    image[300:600, 500:900] = (180, 90, 160)
    return ArrayPicture(image)


@pytest.mark.parametrize(("um_per_px", "mm2"), [(0.25, 0.0075), (0.5, 0.03)])
def test_area_follows_the_scale(picture, um_per_px, mm2):
    tissue = survey(picture, um_per_px)
    assert tissue.size == (900, 1300)
    assert tissue.mm2 == pytest.approx(mm2, rel=0.1)


def test_rectangles_reach_tissue_or_do_not(picture):
    tissue = survey(picture, 0.25)
    assert tissue.reaches(0, 0, 900, 1300)
    assert tissue.reaches(599, 899, 610, 910)
    assert tissue.reaches(310, 510, 311, 511)
    assert not tissue.reaches(0, 0, 200, 1300)
    assert not tissue.reaches(0, 0, 900, 400)
    assert not tissue.reaches(700, 1000, 900, 1300)


def test_glass_alone_has_no_tissue():
    tissue = survey(ArrayPicture(np.full((500, 500, 3), 244, np.uint8)), 0.25)
    assert (tissue.mm2, tissue.reaches(0, 0, 500, 500)) == (0, False)


def test_a_picture_of_one_pixel():
    tissue = survey(ArrayPicture(np.full((1, 1, 3), 90, np.uint8)), 0.25)
    assert tissue.reaches(0, 0, 1, 1)
