"""Calibration of distributions whose answer is known."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve

from helpers.errors import InputError
from helpers.evaluation.calibration import BINS, fit_temperature, measure_reliability


@pytest.fixture(scope="module")
def logits() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, 200_000)


def draw(logits: np.ndarray) -> np.ndarray:
    """Draw the truth with exactly the probabilities that the logits mean."""
    return np.random.default_rng(1).random(len(logits)) < expit(logits)


def test_true_probabilities_are_calibrated(logits):
    assert measure_reliability(expit(logits), draw(logits)).expected_calibration_error < 0.005
    assert fit_temperature(logits, draw(logits)) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("factor", [0.5, 2.0, 3.0])
def test_a_network_that_exaggerates_is_mended_by_the_factor(logits, factor):
    truth, claimed = draw(logits), factor * logits
    temperature = fit_temperature(claimed, truth)
    assert temperature == pytest.approx(factor, rel=0.03)
    before = measure_reliability(expit(claimed), truth).expected_calibration_error
    after = measure_reliability(expit(claimed / temperature), truth).expected_calibration_error
    assert after < 0.006 < 0.05 < before


def test_error_by_hand():
    # Eight pixels at 0.9 of which half are nuclei, two at 0.1 of which none is: 0.8 * 0.4 + 0.2 * 0.1.
    probabilities = np.array([0.9] * 8 + [0.1] * 2)
    truth = np.array([True] * 4 + [False] * 6)
    assert measure_reliability(probabilities, truth).expected_calibration_error == pytest.approx(0.34)


def test_diagram_is_that_of_scikit_learn(logits):
    probabilities, truth = expit(logits), draw(logits)
    ours = measure_reliability(probabilities, truth)
    observed, predicted = calibration_curve(truth, probabilities, n_bins=BINS)
    used = ours.pixels > 0
    np.testing.assert_allclose(ours.observed[used], observed)
    np.testing.assert_allclose(ours.predicted[used], predicted)
    assert ours.pixels.sum() == len(truth)


def test_ends_fall_into_the_outermost_bins():
    found = measure_reliability(np.array([0.0, 1.0]), np.array([False, True]))
    assert (found.pixels[0], found.pixels[-1], found.pixels.sum()) == (1, 1, 2)
    assert found.expected_calibration_error == 0


def test_nothing_to_measure_is_not_a_number():
    assert np.isnan(measure_reliability(np.zeros(0), np.zeros(0, bool)).expected_calibration_error)


@pytest.mark.parametrize(
    ("probabilities", "truth", "message"),
    [([0.5, 3.0], [0, 1], "probabilities: .* found 0 to 3; give prob"), ([0.5, 1.0], [0, 255], "truth: .* 0 to 255")],
)
def test_logits_and_masks_of_255_are_refused(probabilities, truth, message):
    with pytest.raises(InputError, match=message):
        measure_reliability(np.array(probabilities), np.array(truth))
