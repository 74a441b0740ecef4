"""Spreads, what they tell of errors, and dropout that leaves the network as it was."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from tiny_run import make_network

from helpers.evaluation.uncertainty import (
    UNCERTAINTIES,
    error_auroc,
    measure_uncertainty,
    predict_with_dropout,
    risk_coverage,
    tile_uncertainty,
)
from helpers.inference.batches import predict_tiles
from helpers.inference.symmetries import SYMMETRIES


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


def test_every_doubt_has_the_size_of_the_tiles(network, images):
    logits, uncertainties = measure_uncertainty(network, images, passes=3)
    assert list(uncertainties) == list(UNCERTAINTIES)
    for uncertainty in uncertainties.values():
        assert uncertainty.shape == logits.shape == (3, 64, 64)
        assert uncertainty.min() >= 0
        assert uncertainty.max() > 0
    np.testing.assert_array_equal(logits, predict_tiles(network, images))
    turned = [expit(predict_tiles(network, images, symmetry=symmetry)) for symmetry in SYMMETRIES]
    np.testing.assert_allclose(uncertainties["averaging"], np.std(turned, axis=0), atol=1e-5)


def test_dropout_is_seeded_and_leaves_network_and_chance_as_they_were(network, images):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = ([*predict_with_dropout(network, images, passes=2, seed=1)] for _ in range(2))
    torch.testing.assert_close(torch.rand(3), expected)
    np.testing.assert_array_equal(first, second)
    assert np.abs(first[0] - first[1]).max() > 1e-4
    assert not any(module.training for module in network.modules())


def test_without_dropout_the_passes_agree(images):
    network = make_network()
    network.dropout.p = 0.0
    first, second = predict_with_dropout(network, images, passes=2)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, expit(predict_tiles(network, images)))


def test_auroc_of_perfect_useless_and_inverted_doubt():
    wrong = np.zeros((4, 2, 4), bool)
    wrong[:3, 0] = True
    uncertainty = np.zeros((4, 2, 4))
    uncertainty[0, 0], uncertainty[2, 1] = 1, 1
    np.testing.assert_array_equal(error_auroc(uncertainty, wrong), [1, 0.5, 0, np.nan])


def test_tile_uncertainty_is_counted_in_nuclei():
    uncertainty = np.full((2, 2, 2), 0.5)
    predicted = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]]], bool)
    np.testing.assert_array_equal(tile_uncertainty(uncertainty, predicted), [1, 2])


def test_risk_falls_with_a_doubt_that_knows_and_not_with_one_that_does_not():
    dice = np.random.default_rng(0).random(200)
    knowing, blind = risk_coverage(1 - dice, dice), risk_coverage(np.zeros(200), dice)
    assert (np.diff(knowing) >= 0).all()
    assert knowing[-1] == pytest.approx(blind[-1]) == pytest.approx(1 - dice.mean())
    assert knowing.mean() < blind.mean() - 0.1


def test_tiles_without_nuclei_are_left_out():
    np.testing.assert_array_equal(risk_coverage(np.array([0, 1, 2]), np.array([np.nan, 1, 0.5])), [0, 0.25])
