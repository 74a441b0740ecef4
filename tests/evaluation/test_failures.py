"""Causes of failure on tiles made to show them."""

import numpy as np
import pytest

from helpers.evaluation.failures import CAUSES, count_causes, find_causes, find_worst, near_outlines
from helpers.stain import STAIN_VECTORS, transmitted


def paint(truth: np.ndarray, haematoxylin: float = 0.8, grain: float = 0.02, seed: int = 0) -> np.ndarray:
    """Paint nuclei over eosin."""
    density = 0.3 * STAIN_VECTORS[1] + haematoxylin * truth[..., None] * STAIN_VECTORS[0]
    return transmitted(density + np.random.default_rng(seed).normal(0, grain, (*truth.shape, 1)))


@pytest.fixture
def truth() -> np.ndarray:
    tiles = np.zeros((10, 64, 64), bool)
    tiles[:, 8:24, 8:24] = True
    return tiles


def test_worst_is_the_lowest_tenth_and_no_empty_tile():
    dice = np.append(np.linspace(1, 0.1, 20), np.nan)
    assert np.flatnonzero(find_worst(dice)).tolist() == [18, 19]
    assert not find_worst(np.full(3, np.nan)).any()


def test_each_cause_is_found_where_it_was_made(truth):
    truth[7:9, 24:60, 8:60] = True  # crowded
    images = np.stack([paint(tile, seed=number) for number, tile in enumerate(truth)])
    images[0], images[1] = paint(truth[0], 0.15), paint(truth[1], 0.2)  # pale
    images[3], images[4] = paint(truth[3], grain=0), paint(truth[4], grain=0.001)  # smooth
    nuclei = np.full(10, 9)
    nuclei[5] = 3
    causes = find_causes(images, truth, nuclei)
    assert list(causes) == list(CAUSES)
    found = {name: np.flatnonzero(tiles).tolist() for name, tiles in causes.items()}
    assert found == {"few nuclei": [5], "pale stain": [0, 1], "blur": [3, 4], "crowding": [7, 8]}


def test_a_tile_without_nuclei_shows_no_cause(truth):
    truth[0] = False
    images = np.stack([paint(tile) for tile in truth])
    causes = find_causes(images, truth, truth.any((1, 2)).astype(int))
    assert not any(tiles[0] for tiles in causes.values())
    assert causes["few nuclei"][1:].all()


def test_glass_alone_is_no_error():
    images, truth = np.full((2, 64, 64, 3), 255, np.uint8), np.zeros((2, 64, 64), bool)
    assert not any(tiles.any() for tiles in find_causes(images, truth, np.zeros(2, int)).values())


def test_counts_by_hand():
    dice = np.array([0.1, *[0.8] * 8, 0.9, np.nan])
    cause = np.zeros(11, bool)
    cause[[0, 9, 10]] = True
    counted = count_causes(dice, {"pale stain": cause})
    assert counted["pale stain"] == {
        "n": 2, "n_worst": 1, "share": pytest.approx(0.2), "share_worst": 1.0,
        "dice_with": pytest.approx(0.5), "dice_without": pytest.approx(0.8),
    }  # fmt: skip
    assert (counted["none of these"]["n"], counted["none of these"]["n_worst"]) == (8, 0)


def test_outlines_are_as_wide_as_said_on_either_side():
    truth = np.zeros((2, 20, 20), bool)
    truth[0, :, 10:] = True
    marked = near_outlines(truth)
    assert np.flatnonzero(marked[0, 5]).tolist() == [8, 9, 10, 11]
    assert not marked[1].any()
