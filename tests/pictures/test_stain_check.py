"""Colours that are H&E's and those that are not: painted, changed on purpose, and real."""

import warnings

import cv2
import numpy as np
import pytest

from helpers.pictures.stain_check import doubt_stain, green_lead, red_blue_order
from helpers.sample_tissue.sample import sample_field, sample_tiles
from helpers.stain import STAIN_VECTORS, optical_density, separate_stains, transmitted, unit_rows

NO_STAIN, SWAPPED = "the colours are not those of haematoxylin and eosin", "red and blue seem to be swapped"


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    return sample_field(0)[0][:256, :256]


def doubt(image: np.ndarray) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return doubt_stain(image, np.ones(image.shape[:2], bool))


def test_the_order_by_hand_changes_its_sign_when_swapped():
    density = np.random.default_rng(0).uniform(0, 1, (500, 2)) @ STAIN_VECTORS
    assert red_blue_order(density) > 0.5
    assert red_blue_order(density[:, ::-1]) == pytest.approx(-red_blue_order(density))
    assert green_lead(density[:, ::-1]) == pytest.approx(green_lead(density))


def test_a_single_stain_tells_no_order():
    assert red_blue_order(np.linspace(0.2, 1, 50)[:, None] * STAIN_VECTORS[1]) == 0


def test_painted_tissue_passes_and_swapped_it_does_not():
    tiles = [tile.image for tile in sample_tiles(40)]
    assert [index for index, tile in enumerate(tiles) if doubt(tile)] == []
    assert sum(doubt(tile[..., ::-1]).startswith(SWAPPED) for tile in tiles) >= 36


def test_other_pictures_are_no_h_and_e(tissue):
    amounts = separate_stains(tissue)
    brown = unit_rows(np.array([[0.27, 0.57, 0.78]]))  # DAB, Ruifrok and Johnston
    nuclei = cv2.GaussianBlur(sample_field(0)[1][:256, :256].any(-1).astype(np.float32), (0, 0), 2)[..., None]
    rows, columns = np.mgrid[:256, :256]
    others = {
        "grey": cv2.cvtColor(cv2.cvtColor(tissue, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB),
        "dab": transmitted(amounts[..., :1] * brown + 0.2 * amounts[..., 1:] * STAIN_VECTORS[:1]),
        "fluorescence": (12, 12, 18) + nuclei * (30, 10, 200),
        "inverted": 255 - tissue,
        "meadow and sky": np.stack([90 + rows // 8, 110 + columns // 8, np.where(rows < 128, 210, 40)], -1),
    }
    said = {name: doubt(image.astype(np.uint8)) for name, image in others.items()}
    assert {name: text for name, text in said.items() if not text.startswith(NO_STAIN)} == {}


@pytest.mark.parametrize("size", [1, 8, 60])
def test_of_tiny_pictures_nothing_is_said(tissue, size):
    assert doubt(tissue[:size, :size, ::-1]) == doubt(np.full((size, size, 3), 60, np.uint8)) == ""


@pytest.mark.parametrize("colour", [(255, 255, 255), (243, 240, 241), (225, 228, 230), (205, 205, 205)])
def test_of_glass_nothing_is_said(tissue, colour):
    image = np.full((512, 512, 3), colour, np.uint8)
    assert doubt(image) == ""
    image[:100, :100] = tissue[:100, :100, ::-1]  # less than a twentieth
    assert doubt(image) == ""


def test_only_tissue_counts(tissue):
    image = np.full((256, 512, 3), 90, np.uint8)
    image[:, :256] = tissue
    assert doubt_stain(image, np.arange(512)[None].repeat(256, 0) < 256) == ""
    assert doubt_stain(image, np.zeros((256, 512), bool)) == ""


def test_rates_on_real_tiles_are_those_that_the_limits_were_set_by(real_dataset):
    tiles = np.load(real_dataset / "Images" / "images.npy", mmap_mode="r")
    given = [doubt(np.array(tile, np.uint8)) for tile in tiles]
    swapped = [doubt(np.array(tile[..., ::-1], np.uint8)) for tile in tiles]
    assert sum(text.startswith(SWAPPED) for text in given) <= 0.002 * len(tiles)
    assert sum(text.startswith(NO_STAIN) for text in given) <= 0.01 * len(tiles)
    assert sum(text.startswith(SWAPPED) for text in swapped) >= 0.93 * len(tiles)


def test_density_of_the_lead_by_hand():
    assert green_lead(optical_density(np.array([[255, 25, 255]], np.uint8))) == pytest.approx(1)
