"""No nucleus lies where nothing is looked at, clean glass costs nothing, and ink is no tissue."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from helpers.pictures import tissue_area
from helpers.pictures.checks import doubt_ink
from helpers.pictures.picture import ArrayPicture, shrink_area
from helpers.pictures.tissue_area import find_ink, find_tissue, may_hold_nuclei, overview_factor
from helpers.sample_tissue.sample import sample_field

SCALES = [(1, 0.25), (4, 0.25), (16, 0.25), (4, 1.0), (32, 0.25)]  # factor and um/px at full size
SIDE = 1024
INKS = {"blue": (40, 60, 170), "green": (30, 140, 70), "black": (35, 35, 40)}


def glass(white: int = 240, noise: float = 2.0, side: int = SIDE) -> np.ndarray:
    """Draw glass as a scanner's JPEG shows it."""
    image = np.random.default_rng(0).normal(white, noise, (side, side, 3)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=75)
    return np.array(Image.open(buffer))


def with_tissue(image: np.ndarray, side: int = 512) -> np.ndarray:
    image = image.copy()
    image[:side, :side] = np.tile(sample_field(0)[0], (2, 2, 1))[:side, :side]
    return image


@pytest.mark.parametrize(("factor", "um_per_px"), SCALES)
@pytest.mark.parametrize("white", [255, 240, 220])
def test_glass_is_empty(factor, um_per_px, white):
    small = shrink_area(glass(white, side=SIDE if factor > 1 else 128), factor)
    assert not may_hold_nuclei(small, factor * um_per_px).any()
    assert not find_tissue(small, factor * um_per_px).any()
    assert doubt_ink(small, factor * um_per_px) == ""


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (10, 2000)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_pictures_of_one_colour_are_judged(height, width, value):
    small = np.full((height, width, 3), value, np.uint8)
    assert may_hold_nuclei(small, 0.25).all() == (value < 255)
    assert find_tissue(small, 0.25).shape == (height, width)


@pytest.mark.parametrize("white", [255, 240, 220])
@pytest.mark.parametrize(("factor", "um_per_px"), [(16, 0.25), (4, 1.0), (8, 0.5)])
def test_a_single_pale_nucleus_on_glass_is_looked_at(factor, um_per_px, white):
    radius = round(3 / um_per_px)  # 6 um across
    for offset in range(0, factor, 3):  # wherever the squares of the small copy part it
        image = glass(white, side=256)
        cv2.circle(image, (100 + offset, 100 + offset), radius, (150, 120, 180), -1)
        found = may_hold_nuclei(shrink_area(image, factor), factor * um_per_px)
        place = (100 + offset) // factor
        assert found[place, place]
        assert found.mean() < 0.3


@pytest.mark.parametrize("factor", [4, 16, 32])
def test_the_area_of_tissue_is_that_of_tissue(factor):
    small = shrink_area(with_tissue(glass()), factor)
    found = find_tissue(small, factor * 0.25)
    assert found.mean() == pytest.approx(0.25, rel=0.12)
    expected = np.zeros(found.shape, bool)
    expected[: 512 // factor, : 512 // factor] = True
    assert (found & expected).sum() / (found | expected).sum() > 0.88
    assert (may_hold_nuclei(small, factor * 0.25) >= found).all()


def test_a_picture_of_tissue_alone_is_tissue():
    image = np.tile(sample_field(0)[0], (2, 2, 1))
    assert find_tissue(shrink_area(image, 16), 4).mean() > 0.95


def test_dust_is_no_tissue_but_looked_at():
    image = glass()
    cv2.circle(image, (500, 500), 12, (120, 90, 140), -1)
    small = shrink_area(image, 16)
    assert may_hold_nuclei(small, 4).any()
    assert not find_tissue(small, 4).any()


@pytest.mark.parametrize("ink", INKS)
@pytest.mark.parametrize("factor", [4, 16])
def test_ink_is_told_and_no_tissue(ink, factor):
    image = with_tissue(glass())
    cv2.line(image, (700, 600), (980, 1000), INKS[ink], 100)
    small = shrink_area(cv2.GaussianBlur(image, (0, 0), 2), factor)
    stroke = np.zeros(image.shape, np.uint8)
    cv2.line(stroke, (700, 600), (980, 1000), (255, 255, 255), 100)
    stroke = shrink_area(stroke, factor)[..., 0] > 128
    um_per_px = factor * 0.25
    assert find_ink(small, um_per_px)[stroke].mean() > 0.98
    assert find_tissue(small, um_per_px)[stroke].mean() < 0.02
    assert find_tissue(small, um_per_px).mean() == pytest.approx(0.25, rel=0.15)
    assert "pen marks" in doubt_ink(small, um_per_px)


def test_tissue_is_no_ink():
    assert doubt_ink(shrink_area(with_tissue(glass()), 16), 4) == ""


@pytest.mark.parametrize(
    ("height", "width", "um_per_px", "factor"),
    [(1, 1, 0.25, 1), (10, 100_000, 0.25, 1), (256, 256, 0.25, 4), (1000, 1000, 0.25, 8), (20_000, 20_000, 0.25, 16)]
    + [(20_000, 20_000, 0.5, 8), (10_000, 20_000, 1.0, 4), (100_000, 120_000, 0.25, 32), (5000, 5000, 0.2527, 8)],
)
def test_the_small_copy_has_4_um_a_pixel_or_less_unless_it_would_be_large(height, width, um_per_px, factor):
    picture = ArrayPicture(np.broadcast_to(np.uint8(0), (height, width, 3)))
    assert overview_factor(picture, um_per_px) == factor


@pytest.mark.parametrize("factor", [4, 16, 32])
def test_no_nucleus_of_real_tissue_is_lost(real_dataset, factor):
    images = np.load(real_dataset / "Images" / "images.npy", mmap_mode="r")
    masks = np.load(real_dataset / "Masks" / "masks.npy", mmap_mode="r")
    lost = nuclei = inked = outside = pixels = 0
    chosen = range(0, len(images), 16)
    for index in chosen:
        small = shrink_area(images[index].astype(np.uint8), factor)
        looked_at, tissue = may_hold_nuclei(small, factor * 0.25), find_tissue(small, factor * 0.25)
        inked += bool(doubt_ink(small, factor * 0.25))
        nucleus = masks[index][..., :5].max(-1) > 0
        labels, count = ndimage.label(nucleus)
        large = np.kron(looked_at, np.ones((factor, factor), bool))
        lost += np.count_nonzero(ndimage.maximum(large, labels, range(1, count + 1)) == 0) if count else 0
        nuclei += count
        outside += np.count_nonzero(nucleus & ~np.kron(tissue, np.ones((factor, factor), bool)))
        pixels += np.count_nonzero(nucleus)
    assert nuclei > 1000
    assert lost == 0
    assert outside < 0.02 * pixels
    assert inked <= 0.02 * len(chosen)


@pytest.mark.parametrize("size", [(1, 300), (10, 300), (300, 7), (30, 300), (60, 60)])
def test_of_a_disc_no_more_is_taken_than_a_narrow_picture_can_show(size):
    mask = (np.random.default_rng(0).random(size) < 0.3).astype(np.uint8)
    for change in (cv2.MORPH_DILATE, cv2.MORPH_CLOSE, cv2.MORPH_OPEN):
        for radius in (2, 24):
            part, whole = tissue_area._disc(radius, 1.0, size), tissue_area._disc(radius, 1.0, (1000, 1000))
            assert whole.shape == (2 * radius + 1,) * 2
            assert all(side <= 2 * length - 1 for side, length in zip(part.shape, size, strict=True))
            np.testing.assert_array_equal(cv2.morphologyEx(mask, change, part), cv2.morphologyEx(mask, change, whole))
