"""Architecture: fibres that give the right direction, structures that keep apart, quarters that stay bare."""

import math

import numpy as np
import pytest

from helpers.sample_tissue.cells import CONNECTIVE, EPITHELIAL, INFLAMMATORY, NEOPLASTIC, Blob
from helpers.sample_tissue.tissue import (
    CLUSTER,
    FIELD_SIZE,
    GLAND,
    TISSUES,
    Fibres,
    Structure,
    build_nuclei,
    build_structures,
    jittered_grid,
    random_fibres,
    reaches_bare,
    structure_nuclei,
)


def test_straight_fibres_run_where_they_point():
    for angle in (0.0, 0.5, 2.0):
        found = Fibres(angle, ()).direction(10.0, 20.0)
        assert math.sin(found - angle) == pytest.approx(0.0, abs=1e-12)  # the same line, either way round


def test_height_is_level_along_the_fibres():
    fibres = random_fibres(np.random.RandomState(0))
    for row, col in ((50.0, 80.0), (300.0, 200.0), (480.0, 20.0)):
        direction = fibres.direction(row, col)
        down, right = 1e-3 * math.sin(direction), 1e-3 * math.cos(direction)
        rows, cols = np.array([row, row + down, row + right]), np.array([col, col + right, col - down])
        here, along, across = fibres.height(rows, cols)
        assert abs(along - here) < 1e-3 * abs(across - here)


def test_grid_is_as_dense_as_asked():
    points = jittered_grid(np.random.RandomState(0), 32.0)
    within = ((points >= 0) & (points < FIELD_SIZE)).all(axis=1).sum()
    assert within == pytest.approx((FIELD_SIZE / 32) ** 2, rel=0.05)


def test_grid_stays_in_its_blob():
    blob = Blob(200.0, 250.0, (90.0, 60.0), 0.3)
    points = jittered_grid(np.random.RandomState(0), 20.0, blob)
    assert (blob.level(points[:, 0], points[:, 1]) < 0.93).all()
    assert len(points) == pytest.approx(math.pi * 90 * 60 * 0.93**2 / 400, rel=0.15)


@pytest.mark.parametrize(
    ("row", "col", "distance", "expected"),
    [(300, 300, 0, True), (100, 300, 50, False), (240, 240, 20, True), (300, 100, 100, False)],
)
def test_the_bare_quarter_is_the_lower_right(row, col, distance, expected):
    assert reaches_bare(row, col, distance) == expected


@pytest.mark.parametrize("name", TISSUES)
def test_structures_hardly_touch(name):
    structures = build_structures(np.random.RandomState(1), TISSUES[name], bare=False)
    assert structures
    for index, one in enumerate(structures):
        for other in structures[:index]:
            distance = math.hypot(one.blob.row - other.blob.row, one.blob.col - other.blob.col)
            assert distance >= 0.92 * (one.blob.semi_axes[0] + other.blob.semi_axes[0])


@pytest.mark.parametrize("name", TISSUES)
def test_a_bare_quarter_gets_no_nuclei(name):
    random, tissue = np.random.RandomState(2), TISSUES[name]
    structures = build_structures(random, tissue, bare=True)
    nuclei = build_nuclei(random, tissue, structures, random_fibres(random), bare=True)
    quarter = np.mgrid[256:512, 256:512].astype(float)
    assert len(nuclei) > 30
    assert not any((nucleus.level(*quarter) < 1).any() for nucleus in nuclei)


def test_epithelium_lies_around_the_lumen_and_points_to_it():
    blob = Blob(256.0, 256.0, (80.0, 80.0))
    gland = Structure(GLAND, blob, EPITHELIAL, lumen=0.35)
    nuclei = structure_nuclei(np.random.RandomState(3), gland, TISSUES["Colon"])
    bodies = [nucleus.blobs[0] for nucleus in nuclei]
    assert len(nuclei) == int(2 * math.pi * 80 / 29)
    assert all(0.7 < float(blob.level(np.float64(body.row), np.float64(body.col))) < 0.9 for body in bodies)
    outward = [math.atan2(body.row - 256, body.col - 256) - body.angle for body in bodies]
    assert np.mean(np.cos(outward)) > 0.95


def test_clusters_are_lymphocytes():
    cluster = Structure(CLUSTER, Blob(256.0, 256.0, (60.0, 60.0)), INFLAMMATORY)
    kinds = [nucleus.kind for nucleus in structure_nuclei(np.random.RandomState(4), cluster, TISSUES["Colon"])]
    assert kinds.count(INFLAMMATORY) > 0.8 * len(kinds)


def test_spindles_lie_along_the_fibres():
    random = np.random.RandomState(5)
    fibres = random_fibres(random)
    nuclei = build_nuclei(random, TISSUES["Breast"], [], fibres, bare=False)
    spindles = [nucleus.blobs[0] for nucleus in nuclei if nucleus.kind == CONNECTIVE]
    assert len(spindles) > 0.5 * len(nuclei)
    assert all(abs(math.sin(blob.angle - fibres.direction(blob.row, blob.col))) < 0.21 for blob in spindles)


def test_tumours_and_healthy_epithelium_both_come_up():
    for name, tissue in TISSUES.items():
        kinds = {
            one.kind for seed in range(12) for one in build_structures(np.random.RandomState(seed), tissue, bare=False)
        }
        assert {NEOPLASTIC, EPITHELIAL} <= kinds, name
