import cv2
import numpy as np
import pytest
import shapely

from helpers.saving.polygons import trace_outlines


def geometries(outlines: dict) -> dict[int, shapely.MultiPolygon]:
    return {
        nucleus: shapely.MultiPolygon([(outline, holes) for outline, *holes in polygons])
        for nucleus, polygons in outlines.items()
    }


def check(labels: np.ndarray, top: int = 0, left: int = 0) -> None:
    """Hold every nucleus against its pixels: valid, of their area, covering exactly them, one polygon a part."""
    outlines = trace_outlines(labels, top, left)
    assert set(outlines) == set(np.unique(labels[labels > 0]).tolist())
    for nucleus, geometry in geometries(outlines).items():
        assert geometry.is_valid, shapely.is_valid_reason(geometry)
        assert geometry.area == np.count_nonzero(labels == nucleus)
        rows, columns = np.nonzero(labels == nucleus)
        assert shapely.contains_xy(geometry, columns + left + 0.5, rows + top + 0.5).all()
        parts, _ = cv2.connectedComponents((labels == nucleus).astype(np.uint8), connectivity=4)
        assert len(outlines[nucleus]) == parts - 1
        for outline, *holes in outlines[nucleus]:
            assert shapely.LinearRing(outline).is_ccw
            assert not any(shapely.LinearRing(hole).is_ccw for hole in holes)
            for ring in (outline, *holes):
                steps = np.diff(ring, axis=0)
                assert np.array_equal(ring[0], ring[-1])
                assert ((steps == 0).sum(1) == 1).all(), "an edge is not along the pixels"
                turned = np.roll(steps, 1, axis=0)
                assert ((steps * turned).sum(1) == 0).all(), "a corner is none"


def drawn(*rows: str) -> np.ndarray:
    return np.array([[int(sign) for sign in row] for row in rows], np.int32)


@pytest.mark.parametrize(
    ("labels", "corners"),
    [
        (np.ones((1, 1), int), [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]),
        (np.ones((3, 3), int), [[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]]),
        (drawn("110", "011"), [[0, 0], [2, 0], [2, 1], [3, 1], [3, 2], [1, 2], [1, 1], [0, 1], [0, 0]]),
    ],
)
def test_the_outline_runs_along_the_edges_of_pixels_and_lists_the_corners_alone(labels, corners):
    [[outline]] = trace_outlines(labels)[1]
    assert outline.tolist() == corners


def test_a_crop_is_moved_to_its_place_in_the_picture():
    [[outline]] = trace_outlines(np.ones((2, 1), int), top=100, left=2000)[1]
    assert outline.min(0).tolist() == [2000, 100]
    assert outline.max(0).tolist() == [2001, 102]


@pytest.mark.parametrize(
    ("labels", "rings"),
    [
        (drawn("10", "01"), [1, 1]),  # parts that touch at a corner are two polygons
        (drawn("101"), [1, 1]),
        (drawn("111", "101", "111"), [2]),
        (drawn("110", "101", "111"), [2]),  # a hole that touches the outside at a corner
        (drawn("11110", "10011", "10101", "11001", "01111"), [2, 1]),  # a part in the hole of another
        (drawn("1111", "1011", "1101", "1111"), [3]),  # two holes that touch at a corner
        (drawn("11111", "10101", "11011", "10101", "11111"), [6]),
        (drawn("1111", "1221", "1201", "1111"), [2]),  # a hole with another nucleus in it
    ],
)
def test_parts_and_holes_that_touch_at_corners(labels, rings):
    assert [len(polygon) for polygon in trace_outlines(labels)[1]] == rings
    check(labels)


@pytest.mark.parametrize("seed", range(40))
def test_noise_gives_valid_polygons_that_cover_its_pixels(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, random.integers(2, 5), random.integers(1, 16, 2))
    check(labels, *random.integers(0, 10**6, 2).tolist())


def test_many_random_nuclei_are_valid_at_once():
    cells = np.random.default_rng(0).integers(0, 2, (2_500, 6, 6))
    numbered = cells * np.arange(1, 2_501)[:, None, None]
    labels = numbered.reshape(50, 50, 6, 6).swapaxes(1, 2).reshape(300, 300)  # side by side, touching
    found = geometries(trace_outlines(labels))
    assert shapely.is_valid([*found.values()]).all()
    assert np.array_equal(shapely.area([*found.values()]), cells[[number - 1 for number in found]].sum((1, 2)))


def test_nuclei_that_touch_each_other_and_the_border():
    labels = np.zeros((90, 120), np.int32)
    for number, (x, y) in enumerate([(0, 0), (15, 8), (119, 40), (60, 89), (66, 80), (40, 40)], 1):
        cv2.circle(labels, (x, y), 12, number * 1_000_003, -1)
    check(labels, 7, 9)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint8])
def test_ids_of_any_integer_dtype_come_back_as_they_are(dtype):
    largest = np.iinfo(dtype).max
    labels = np.array([[0, largest, 1]], dtype)
    assert [*trace_outlines(labels)] == [largest, 1]


@pytest.mark.parametrize("shape", [(1, 1), (5, 7)])
def test_where_no_nucleus_is_there_is_no_outline(shape):
    assert trace_outlines(np.zeros(shape, np.int32)) == {}
