"""What of a picture is no tissue."""

import cv2
import numpy as np
import pytest
from scipy import ndimage

from helpers.pictures.outside import BLACK, FEWEST, FRINGE, fill_outside, find_outside
from helpers.sample_tissue.sample import sample_field


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    return sample_field(0)[0][:128, :160]


def test_real_borders_are_no_edges_of_a_slide(tissue):
    assert not find_outside(tissue).any()
    dark = tissue.copy()
    dark[0, : FEWEST - 1] = 0  # fewer pixels than count
    dark[40:80, 40:80] = 0  # black, but inside
    dark[100:, 0] = BLACK + 1  # not black enough
    assert not find_outside(dark).any()
    assert not find_outside(np.dstack([tissue, np.full(tissue.shape[:2], 1, np.uint8)])).any()  # hardly opaque is there


@pytest.mark.parametrize("channels", [3, 4])
def test_a_strip_and_its_fringe_are_outside(tissue, channels):
    image = np.dstack([tissue, np.full(tissue.shape[:2], 255, np.uint8)])[..., :channels].copy()
    image[-20:] = (BLACK, 0, 3) if channels == 3 else (200, 100, 200, 0)
    expected = np.zeros(tissue.shape[:2], bool)
    expected[-20 - FRINGE :] = True
    np.testing.assert_array_equal(find_outside(image), expected)


@pytest.mark.parametrize("width", [16, 21, 32])
@pytest.mark.parametrize("quality", [60, 75, 95])
def test_jpeg_leaves_nothing_of_a_strip(tissue, width, quality):
    image = tissue.copy()
    image[:, :width] = 0
    image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    outside = find_outside(image)
    assert outside[:, :width].all()
    assert not outside[:, width + FRINGE :].any()


def test_filling_mirrors_the_tissue(tissue):
    image = tissue.copy()
    image[:, :20] = 0
    filled, outside = fill_outside(image)
    edge = 20 + FRINGE
    np.testing.assert_array_equal(filled[:, edge:], tissue[:, edge:])
    np.testing.assert_array_equal(filled[:, :edge], tissue[:, edge + 1 : 2 * edge + 1][:, ::-1])
    assert (image[:, :20] == 0).all()  # the caller's own stays


def test_filling_takes_the_nearest_tissue_where_the_mirror_shows_none(tissue):
    image = tissue.copy()
    rows, columns = np.mgrid[:128, :160]
    image[(rows - 60) ** 2 + (columns - 100) ** 2 > 40**2] = 0  # the round field of an eyepiece
    filled, outside = fill_outside(image)
    exact = ndimage.distance_transform_edt(outside, return_distances=False, return_indices=True)
    corner = tissue[tuple(exact[:, 127, 0])]
    assert np.abs(filled[127, 0].astype(int) - corner).max() <= 60  # OpenCV's nearest is a pixel or so off
    assert (filled > BLACK).any(-1).all()


def test_nothing_but_black_is_not_filled():
    image = np.zeros((20, 20, 3), np.uint8)
    filled, outside = fill_outside(image)
    assert outside.all()
    np.testing.assert_array_equal(filled, image)


def test_real_tiles_have_no_black_edges(real_dataset):
    tiles = np.load(real_dataset / "Images" / "images.npy", mmap_mode="r")
    assert [index for index, tile in enumerate(tiles) if find_outside(tile).any()] == []
