import numpy as np
import pytest

from helpers.inference.instances import FIELDS
from helpers.saving.overview import MOST_CELLS, SMOOTH_UM, Overview


def make_nuclei(x: list[float], y: list[float], kind: str = "Dead") -> np.ndarray:
    nuclei = np.zeros(len(x), FIELDS)
    nuclei["x"], nuclei["y"], nuclei["kind"] = x, y, kind
    return nuclei


def test_nuclei_are_counted_by_kind_in_the_cell_of_their_centroid():
    overview = Overview(100, 130, 0.25)
    assert overview.cell == 25
    overview.add(make_nuclei([0.0, 24.4, 24.5, 129.4], [0.0, 0.0, 24.5, 99.4]))
    overview.add(make_nuclei([60.0], [60.0], "Other"))
    overview.add(make_nuclei([], []))
    assert np.argwhere(overview.counts["Dead"]).tolist() == [[0, 0], [1, 1], [3, 5]]
    assert overview.counts["Dead"][0, 0] == 2
    assert overview.totals() == {"Dead": 4, "Other": 1}


def test_a_slide_takes_no_more_cells():
    overview = Overview(100_000, 73_000, 0.25)
    overview.add(make_nuclei([72_999.4], [99_999.4]))
    assert overview.counts["Dead"].shape == (637, 465)
    assert overview.counts["Dead"][-1, -1] == 1
    assert max(overview.counts["Dead"].shape) <= MOST_CELLS


@pytest.mark.parametrize("shape", [(1, 1), (40, 1000), (231, 477)])
def test_an_even_spread_has_its_density_everywhere_up_to_the_border(shape):
    overview = Overview(*shape, 0.5)
    rows, columns = (grid.ravel().astype(float) for grid in np.mgrid[: shape[0], : shape[1]])
    overview.add(make_nuclei(columns, rows))  # one a pixel: 4 a square micrometre
    assert overview.densities()["Dead"] == pytest.approx(4e6)


def test_density_spreads_as_a_gaussian_and_keeps_the_number_of_nuclei():
    overview = Overview(4000, 4000, 0.25)
    overview.add(make_nuclei([1999.5], [1999.5]))
    density = overview.densities()["Dead"]
    assert density.sum() * (overview.cell * 0.25 / 1000) ** 2 == pytest.approx(1, rel=1e-3)
    assert density.max() == pytest.approx(1 / (2 * np.pi * (SMOOTH_UM / 1000) ** 2), rel=0.02)


def test_without_nuclei_there_is_nothing_to_tell():
    overview = Overview(10, 10, 0.25)
    assert (overview.totals(), overview.densities()) == ({}, {})
