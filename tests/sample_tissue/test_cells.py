"""Nuclei: outlines with known answers, who may lie on whom, and the traits that tell the five kinds apart."""

import math

import numpy as np
import pytest

from helpers.config import CLASS_NAMES
from helpers.sample_tissue.cells import (
    CONNECTIVE,
    DEAD,
    EPITHELIAL,
    INFLAMMATORY,
    KINDS,
    NEOPLASTIC,
    Blob,
    Canvas,
    Nucleus,
    claim,
    draw,
    random_nucleus,
    random_waves,
)

SIZE = 96


def blank_canvas() -> Canvas:
    """An unstained field without grain."""
    nothing = np.zeros((SIZE, SIZE), np.float32)
    return Canvas(nothing.copy(), nothing.copy(), np.zeros((SIZE, SIZE), np.int32), nothing.copy())


def disc(row: float, col: float, radius: float, kind: int = INFLAMMATORY) -> Nucleus:
    """A round nucleus without nucleoli."""
    return Nucleus(kind, (Blob(row, col, (radius, radius)),), 0.8, ())


def measure(kind: int) -> tuple[float, float]:
    """Mean area in pixels, and mean length over width (from second moments), of 40 nuclei of one kind."""
    random, areas, ratios = np.random.RandomState(0), [], []
    for _ in range(40):
        _, level, _ = claim(blank_canvas(), random_nucleus(random, kind, 48.0, 48.0, random.uniform(0, math.pi)))
        pixels = np.argwhere(level < 1)
        spread = np.linalg.eigvalsh(np.cov(pixels.T))
        areas.append(len(pixels))
        ratios.append(math.sqrt(spread[1] / spread[0]))
    return float(np.mean(areas)), float(np.mean(ratios))


def test_classes_stand_in_the_data_sets_order():
    assert [CLASS_NAMES[kind] for kind in (NEOPLASTIC, INFLAMMATORY, CONNECTIVE, DEAD, EPITHELIAL)] == list(CLASS_NAMES)
    assert set(KINDS) == set(range(len(CLASS_NAMES)))


def test_level_of_a_turned_ellipse():
    # 10 long, 5 wide, turned to the vertical: its ends are 10 rows and 5 columns away.
    ellipse = Blob(20.0, 30.0, (10.0, 5.0), math.pi / 2)
    level = ellipse.level(np.array([20.0, 30.0, 20.0]), np.array([30.0, 30.0, 35.0]))
    np.testing.assert_allclose(level, [0.0, 1.0, 1.0], atol=1e-12)


def test_area_of_an_ellipse():
    rows, cols = np.mgrid[0:64, 0:64].astype(float)
    inside = Blob(32.0, 32.0, (20.0, 10.0), 0.4).level(rows, cols) < 1
    assert inside.sum() == pytest.approx(math.pi * 20 * 10, rel=0.02)


def test_point_is_the_inverse_of_level():
    random = np.random.RandomState(1)
    blob = Blob(5.0, -3.0, (30.0, 12.0), 0.7, random_waves(random, 0.1))
    for direction in np.linspace(0, 6, 13):
        row, col = blob.point(direction, 0.8)
        assert blob.level(np.float64(row), np.float64(col)) == pytest.approx(0.8)


def test_nothing_lies_beyond_the_reach():
    random = np.random.RandomState(2)
    rows, cols = np.mgrid[0:200, 0:200].astype(float)
    for _ in range(20):
        blob = Blob(100.0, 100.0, (40.0, 12.0), 1.0, random_waves(random, 0.1), random.uniform(-0.5, 0.5))
        outside = np.hypot(rows - 100, cols - 100) > blob.reach()
        assert not (blob.level(rows, cols) < 1)[outside].any()


def test_inside_is_half_on_the_outline():
    blob = Blob(0.0, 0.0, (10.0, 10.0))
    np.testing.assert_allclose(blob.inside(np.array([0.0, 1.0, 2.0])), [1.0, 0.5, 0.0])


def test_a_free_place_is_granted_and_a_taken_one_refused():
    canvas = blank_canvas()
    window, level, taken = claim(canvas, disc(40, 40, 12))
    assert not taken.any()
    canvas.owners[window][level < 1] = 7
    assert claim(canvas, disc(40, 46, 12)) is None  # hides far more than an eighth of its neighbour


def test_touching_nuclei_share_a_little():
    canvas = blank_canvas()
    window, level, _ = claim(canvas, disc(40, 40, 12))
    canvas.owners[window][level < 1] = 7
    _, level, taken = claim(canvas, disc(40, 62, 12))
    assert 0 < taken.sum() < 0.12 * (level < 1).sum()


def test_outside_the_field_there_is_nothing_to_claim():
    assert claim(blank_canvas(), disc(-40, 40, 12)) is None
    assert claim(blank_canvas(), disc(40, SIZE + 13, 12)) is None


def test_a_nucleus_on_the_border_is_cut():
    _, level, _ = claim(blank_canvas(), disc(0, 48, 12))
    assert (level < 1).sum() == pytest.approx(math.pi * 144 / 2, rel=0.1)


def test_a_nucleus_is_never_cut_in_two():
    canvas = blank_canvas()
    canvas.owners[48] = 1  # a line one pixel wide, so the hidden share alone would be small enough
    assert claim(canvas, disc(48, 48, 14)) is None


@pytest.mark.parametrize("kind", range(len(CLASS_NAMES)))
def test_drawn_nuclei_are_darker_than_what_surrounds_them(kind):
    canvas = blank_canvas()
    canvas.haematoxylin += 0.1
    nucleus = random_nucleus(np.random.RandomState(3), kind, 48.0, 48.0, 0.5)
    window, level, taken = claim(canvas, nucleus)
    draw(canvas, nucleus, window, level, taken)
    stained = canvas.haematoxylin[window]
    assert stained[level < 0.8].mean() > 0.1 + 0.7 * KINDS[kind].stain[0]
    assert stained[level > 2.4].max(initial=0) <= 0.1 + 1e-6
    assert (canvas.haematoxylin >= 0).all()
    assert (canvas.eosin >= -1e-6).all()


def test_kinds_differ_in_size_and_shape():
    areas, ratios = zip(*(measure(kind) for kind in range(len(CLASS_NAMES))), strict=True)
    assert areas[NEOPLASTIC] > areas[EPITHELIAL] > areas[INFLAMMATORY] > areas[DEAD]
    assert ratios[CONNECTIVE] > 3  # spindles
    assert ratios[INFLAMMATORY] < 1.15  # round
    diameter = 2 * math.sqrt(areas[INFLAMMATORY] / math.pi)
    assert 22 < diameter < 29  # a lymphocyte's 6 to 7 micrometres at 0.25 a pixel


def test_some_dead_nuclei_are_in_pieces():
    random = np.random.RandomState(4)
    pieces = [len(random_nucleus(random, DEAD, 0.0, 0.0, 0.0).blobs) for _ in range(30)]
    assert set(pieces) == {1, 2, 3, 4}
