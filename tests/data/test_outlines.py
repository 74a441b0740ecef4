"""The pixels that an outline encloses, worked by hand, and those of real nuclei."""

import gzip
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from published import corners

from helpers.data.outlines import fill_outline

REBUILT = Path(__file__).resolve().parents[3] / "shared/nuclei/monuseg/test"


def filled(*outlines: list[tuple[float, float]], size: int = 40) -> np.ndarray:
    instances = np.zeros((size, size), np.int64)
    for number, outline in enumerate(outlines, 1):
        fill_outline(instances, np.array(outline, float), number)
    return instances


@pytest.mark.parametrize("direction", [1, -1])
def test_a_square_fills_its_area_and_no_more(direction):
    instances = filled(corners((10, 20, 14, 27))[::direction])
    expected = np.zeros((40, 40), int)
    expected[20:27, 10:14] = 1
    np.testing.assert_array_equal(instances, expected)


def test_squares_that_touch_share_no_pixel_and_leave_none():
    instances = filled(corners((5, 5, 12, 12)), corners((12, 5, 20, 12)))
    assert [(instances == number).sum() for number in (1, 2)] == [49, 56]
    assert (instances[5:12, 5:20] > 0).all()


def test_a_vertex_between_pixels_decides_by_the_centre():
    assert np.argwhere(filled([(9.6, 9.6), (11.9, 9.6), (11.9, 10.9), (9.6, 10.9)])).tolist() == [[10, 10], [10, 11]]
    assert not filled([(10.6, 10.6), (11.4, 10.6), (11.4, 11.4), (10.6, 11.4)]).any()  # between four centres


def test_a_centre_on_an_edge_belongs_to_the_nucleus_right_of_it_or_below():
    upper, lower = [(0, 0), (4, 0), (0, 4)], [(4, 0), (4, 4), (0, 4)]  # the edge from (4, 0) to (0, 4) meets 4 centres
    assert filled(upper, lower, size=4).tolist() == [[1, 1, 1, 2], [1, 1, 2, 2], [1, 2, 2, 2], [2, 2, 2, 2]]
    top, bottom = corners((0, 0, 4, 1.5)), corners((0, 1.5, 4, 3))
    assert filled(top, bottom, size=4)[:, 0].tolist() == [1, 2, 2, 0]


def test_a_circle_has_the_area_of_a_circle():
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    instances = filled(list(zip(60 + 30.5 * np.cos(angles), 55 + 30.5 * np.sin(angles), strict=True)), size=120)
    assert instances.sum() == pytest.approx(np.pi * 30.5**2, rel=0.005)
    rows, columns = np.nonzero(instances)
    assert (rows.mean(), columns.mean()) == pytest.approx((54.5, 59.5), abs=0.05)  # pixel 54 reaches from 54 to 55


def test_it_fills_what_matplotlib_calls_inside():
    random = np.random.default_rng(3)
    centres = np.stack(np.meshgrid(np.arange(40), np.arange(40)), -1).reshape(-1, 2) + 0.5
    for _ in range(20):
        angles, radii = np.sort(random.uniform(0, 2 * np.pi, 12)), random.uniform(8, 18, 12)
        outline = 20 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        inside = Polygon(outline).contains_points(centres).reshape(40, 40)
        np.testing.assert_array_equal(filled(outline.tolist()) > 0, inside)


def centres_on(outline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Tell `(H, W)` bool whose centre lies on an edge of an outline."""
    found = np.zeros(shape, bool)
    for (x, y), (next_x, next_y) in zip(outline - 0.5, np.roll(outline, -1, axis=0) - 0.5, strict=True):
        (left, right), (top, bottom) = sorted((x, next_x)), sorted((y, next_y))
        columns, rows = np.meshgrid(
            *(np.arange(np.ceil(low), high + 1e-9, dtype=int) for low, high in ((left, right), (top, bottom)))
        )
        on = np.abs((next_x - x) * (rows - y) - (next_y - y) * (columns - x)) < 1e-6
        on &= (rows >= 0) & (columns >= 0) & (rows < shape[0]) & (columns < shape[1])
        found[rows[on], columns[on]] = True
    return found


@pytest.mark.skipif(not REBUILT.is_dir(), reason="the rebuilt masks of MoNuSeg are not there")
def test_real_nuclei_are_those_of_the_rebuilt_masks():
    images = json.loads(gzip.decompress((REBUILT / "outlines.json.gz").read_bytes()))
    assert len(images) == 14
    for name, outlines in images.items():
        rebuilt = cv2.imread(str(REBUILT / f"instances/{name}.png"), cv2.IMREAD_UNCHANGED) > 0
        ours, on_edges = np.zeros(rebuilt.shape, np.int64), np.zeros(rebuilt.shape, bool)
        for number, outline in enumerate(map(np.array, outlines), 1):
            fill_outline(ours, outline, number)
            on_edges |= centres_on(outline, rebuilt.shape)
        np.testing.assert_array_equal((ours > 0)[~on_edges], rebuilt[~on_edges])


def test_an_outline_that_leaves_the_image_is_cut():
    expected = np.zeros((40, 40), int)
    expected[:6, 35:] = 1
    np.testing.assert_array_equal(filled(corners((35, -10, 60, 6))), expected)
    assert not filled(corners((-20, -20, -5, -5)), corners((50, 3, 60, 9))).any()


def test_what_the_pen_went_round_twice_is_outside_as_in_opencv():
    outer, inner = corners((4, 4, 20, 20)), corners((8, 8, 14, 14))
    found = filled([*outer, outer[0], *inner, inner[0]])
    assert found.sum() == 16 * 16 - 6 * 6
    assert not found[8:14, 8:14].any()
    opencv = np.zeros((40, 40), np.uint8)
    cv2.fillPoly(opencv, [np.array([*outer, outer[0], *inner, inner[0]])], 1)
    assert not opencv[9:13, 9:13].any()


def test_the_first_of_two_keeps_the_pixels():
    instances = filled(corners((4, 4, 10, 10)), corners((7, 4, 14, 10)))
    assert [(instances == number).sum() for number in (1, 2)] == [36, 24]
    assert (instances[4:10, 4:10] == 1).all()


@pytest.mark.parametrize("outline", [[], [(5, 5)], [(5, 5), (9, 9)], [(5, 5), (9, 5), (7, 5)]])
def test_what_has_no_area_fills_nothing(outline):
    assert not filled(np.reshape(outline, (-1, 2))).any()
