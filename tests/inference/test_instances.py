"""From maps to single nuclei: parting what touches, and what is told of each."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from helpers.inference.instances import (
    CORE_LOGIT,
    CORE_UM2,
    FIELDS,
    SMALLEST_UM2,
    list_nuclei,
    part_nuclei,
)

SCALE = 0.25
SURE, UNSURE = CORE_LOGIT + 2, CORE_LOGIT - 4


def discs(*centres: tuple[int, int], radius: int = 10, shape: tuple[int, int] = (60, 80)) -> np.ndarray:
    """Draw discs: `(H, W)` bool."""
    rows, columns = np.indices(shape)
    return np.any([(rows - y) ** 2 + (columns - x) ** 2 <= radius**2 for y, x in centres], axis=0)


def interior_of(*centres: tuple[int, int], **more: object) -> np.ndarray:
    """Give logits as of a network that knows the cores of these discs: `(H, W)` float32, falling outwards."""
    return np.where(discs(*centres, radius=6, **more), SURE, UNSURE).astype(np.float32)


def test_nuclei_that_touch_are_parted_where_their_cores_tell():
    centres = (30, 20), (30, 38)
    labels = part_nuclei(discs(*centres), interior_of(*centres), SCALE)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels > 0, discs(*centres))
    assert labels[30, 20] == 1
    assert labels[30, 38] == 2
    areas = np.bincount(labels.ravel())[1:]
    assert abs(areas[0] - areas[1]) < 0.1 * areas.sum()  # parted in the middle


def test_without_an_interior_what_touches_is_one():
    assert part_nuclei(discs((30, 20), (30, 38)), None, SCALE).max() == 1


def test_a_piece_without_a_core_is_one_nucleus():
    labels = part_nuclei(discs((30, 20), (30, 60)), interior_of((30, 20)), SCALE)
    assert (labels[30, 20], labels[30, 60]) == (1, 2)


def test_holes_are_filled():
    mask = discs((30, 20))
    mask[28:32, 18:22] = False
    assert (part_nuclei(mask, interior_of((30, 20)), SCALE) > 0).sum() == discs((30, 20)).sum()


def test_the_lumen_of_a_gland_is_no_part_of_its_nuclei():
    rows, columns = np.mgrid[:120, :120]
    distance = np.hypot(rows - 60, columns - 60)
    ring = (distance >= 25) & (distance <= 45)  # touching nuclei around 120 um2 of lumen
    np.testing.assert_array_equal(part_nuclei(ring, None, 0.25) > 0, ring)
    assert (part_nuclei(ring, None, 0.1) > 0)[60, 60]  # 20 um2 are a hole


def test_specks_are_left_out_by_their_area_and_not_their_pixels():
    side = int(np.sqrt(SMALLEST_UM2) / SCALE)  # a square just below the smallest area
    mask = np.zeros((60, 80), bool)
    mask[5 : 5 + side, 5 : 5 + side] = True
    assert part_nuclei(mask, None, SCALE).max() == 0
    assert part_nuclei(mask, None, 2 * SCALE).max() == 1


def test_small_cores_part_nothing():
    pixels = int(CORE_UM2 / SCALE**2)
    interior = interior_of((30, 20))
    interior[30, 27 : 27 + pixels - 1] = SURE - 1  # one pixel short, apart from the core
    interior[30, 26] = UNSURE
    assert part_nuclei(discs((30, 20), radius=20), interior, SCALE).max() == 1


def test_numbers_follow_the_topmost_pixel():
    centres = (45, 15), (15, 60), (15, 20)
    labels = part_nuclei(discs(*centres), interior_of(*centres), SCALE)
    assert [labels[centre] for centre in centres] == [3, 2, 1]
    assert sorted(np.unique(labels)) == [0, 1, 2, 3]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (30, 5)])
def test_a_picture_without_nuclei(shape):
    empty = np.zeros(shape, bool)
    labels = part_nuclei(empty, np.full(shape, UNSURE, np.float32), SCALE)
    assert labels.shape == shape
    assert not labels.any()
    table = list_nuclei(labels, np.zeros(shape, np.float32), np.zeros((2, *shape), np.float32), ("a", "b"), SCALE)
    assert table.shape == (0,)
    assert pd.DataFrame(table).columns.tolist() == [name for name, _ in FIELDS]


def test_a_picture_all_of_nucleus_is_one():
    assert part_nuclei(np.ones((40, 40), bool), np.full((40, 40), SURE, np.float32), SCALE).min() == 1


def test_the_table_tells_place_area_box_and_kind():
    labels = np.zeros((6, 10), np.int32)
    labels[1:3, 2:6] = 1
    labels[4, 9] = 2  # of one pixel
    kinds = np.zeros((2, 6, 10), np.float32)
    kinds[0, :, :5], kinds[1, :, 5:] = 3, 1  # three quarters of the first vote for "a", the rest less surely for "b"
    table = list_nuclei(labels, np.ones((6, 10), np.float32), kinds, ("a", "b"), 0.5)
    first, second = table
    assert (first["x"], first["y"], first["area_um2"]) == (3.5, 1.5, 2.0)
    assert (first["left"], first["top"], first["right"], first["bottom"]) == (2, 1, 6, 3)
    assert (second["x"], second["y"], second["area_um2"]) == (9.0, 4.0, 0.25)
    assert (second["left"], second["top"], second["right"], second["bottom"]) == (9, 4, 10, 5)
    assert table["kind"].tolist() == ["a", "b"]
    shares = softmax(kinds, axis=0)[0]
    assert first["confidence"] == pytest.approx(shares[1:3, 2:6].mean(), abs=1e-6)
    assert table["id"].tolist() == [1, 2]


def test_without_kinds_it_is_as_sure_of_a_nucleus_as_the_probability_says():
    labels = np.zeros((4, 4), np.int32)
    labels[:2, :2] = 1
    probability = np.zeros((4, 4), np.float32)
    probability[:2, :2] = [[0.5, 0.7], [0.9, 0.9]]
    table = list_nuclei(labels, probability, None, (), SCALE)
    assert table["kind"].tolist() == [""]
    assert table["confidence"][0] == pytest.approx(0.75)


def test_kinds_may_be_told_at_another_scale():
    labels = np.zeros((8, 8), np.int32)
    labels[:4, :4], labels[4:, 4:] = 1, 2
    kinds = np.zeros((2, 4, 4), np.float32)
    kinds[1, 2:, 2:] = 9
    kinds[0, :2, :2] = 9
    table = list_nuclei(labels, np.ones((8, 8), np.float32), kinds, ("a", "b"), SCALE)
    assert table["kind"].tolist() == ["a", "b"]
