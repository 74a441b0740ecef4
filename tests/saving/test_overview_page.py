import numpy as np
import pytest
from made_pictures import SmallCopies

from helpers.inference.instances import FIELDS
from helpers.pictures.picture import ArrayPicture
from helpers.saving.colours import kind_colour
from helpers.saving.overview import Overview
from helpers.saving.overview_page import INK, MARGIN, PANEL, draw_overview, scale_bar


def make_overview(height: int, width: int, um_per_px: float, places: dict[str, list[tuple[float, float]]]) -> Overview:
    overview = Overview(height, width, um_per_px)
    for kind, points in places.items():
        nuclei = np.zeros(len(points), FIELDS)
        nuclei["x"], nuclei["y"], nuclei["kind"] = *np.array(points, float).T, kind
        overview.add(nuclei)
    return overview


def white(*shape: int) -> ArrayPicture:
    return ArrayPicture(np.full((*shape, 3), 255, np.uint8))


def painted(page: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((page == colour).all(-1))


@pytest.mark.parametrize(
    ("um_per_px", "bar"),
    [
        (0.25 * 1000 / PANEL, ("50 um", 128)),
        (0.25 * 20_000 / PANEL, ("1 mm", 128)),
        (0.5 * 100_000 / PANEL, ("10 mm", 128)),
        (0.1 / PANEL, ("0.02 um", 128)),
    ],
)
def test_the_scale_bar_is_round_and_as_long_as_it_says(um_per_px, bar):
    assert scale_bar(um_per_px) == bar
    assert bar[1] <= 0.3 * PANEL


def test_the_scale_bar_on_the_page_has_its_length():
    page = draw_overview(white(500, 1000), make_overview(500, 1000, 0.25, {}))
    bar = painted(page[MARGIN + 340 : MARGIN + 340 + 36], INK)
    rows = np.bincount(bar[:, 0])
    assert rows.max() == 128


def test_each_kind_stands_on_its_side_and_in_the_legend():
    left, right = [(x, 500) for x in range(0, 300, 10)], [(x, 500) for x in range(1700, 2000, 10)]
    page = draw_overview(white(1000, 2000), make_overview(1000, 2000, 0.5, {"Dead": left, "Epithelial": right}))
    third = page[:, -(PANEL + MARGIN) :]
    panel = third[MARGIN + 32 : MARGIN + 32 + PANEL // 2, :PANEL].astype(int)
    for kind, half in (("Dead", panel[:, : PANEL // 4]), ("Epithelial", panel[:, -PANEL // 4 :])):
        colour = np.array(kind_colour(kind))
        nearest = half.reshape(-1, 3)[np.abs(half - colour).sum(-1).argmin()]
        assert np.abs(nearest - colour).max() < 50
        assert len(painted(third, tuple(colour))) >= 22 * 22  # its square


def test_the_densest_place_is_the_brightest_and_empty_ones_the_darkest():
    page = draw_overview(white(1000, 1000), make_overview(1000, 1000, 1.0, {"": [(800, 200)] * 50}))
    panel = page[MARGIN + 32 : MARGIN + 32 + PANEL, 2 * MARGIN + PANEL : 2 * MARGIN + 2 * PANEL].astype(int)
    row, column = np.unravel_index(panel.sum(-1).argmax(), panel.shape[:2])
    assert abs(column - 0.8 * PANEL) < 25
    assert abs(row - 0.2 * PANEL) < 25
    assert panel[-1, 0].sum() == panel.sum(-1).min()


@pytest.mark.parametrize("size", [(8192, 4096), (6000, 4400), (7777, 5555)])
def test_a_slide_is_shrunk_from_its_smaller_copies(size):
    page = draw_overview(SmallCopies(*size), make_overview(*size, 0.25, {}))
    assert (page[MARGIN + 32 + PANEL // 2, MARGIN : MARGIN + 8] == 200).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3)])
def test_any_shape_gives_a_page(shape):
    page = draw_overview(white(*shape), make_overview(*shape, 0.25, {"Other": [(0, 0)]}))
    assert page.dtype == np.uint8
    assert len(painted(page, kind_colour("Other"))) >= 22 * 22
