"""Whether probabilities hold: of the pixels that are called 80 % nucleus, are 80 % nucleus? And what mends it.

Reference:
    Guo, Pleiss, Sun, Weinberger 2017, On calibration of modern neural networks, arXiv:1706.04599.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import log_loss

from helpers.errors import check_unit_range

BINS = 15  # as in the paper
BOUNDS = (0.1, 10.0)  # of the temperature


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: pixels in `BINS` ranges of equal width of the probability of nucleus.

    Attributes:
        pixels: `(BINS,)` int64, how many fall into each.
        predicted: `(BINS,)` float64, their mean probability; NaN where there are none.
        observed: `(BINS,)` float64, the share of nuclei among them; NaN likewise.
    """

    pixels: np.ndarray
    predicted: np.ndarray
    observed: np.ndarray

    @property
    def expected_calibration_error(self) -> float:
        """Give the mean gap between predicted and observed over all pixels, 0 to 1.

        Equation 3 of the paper, for the probability of nucleus in place of that of the predicted class.
        """
        used = self.pixels > 0
        gaps = np.abs(self.predicted[used] - self.observed[used])
        return float(np.average(gaps, weights=self.pixels[used])) if used.any() else float("nan")


def measure_reliability(probabilities: np.ndarray, truth: np.ndarray) -> Reliability:
    """Set what is predicted beside what is observed.

    Args:
        probabilities: float of any shape, 0 to 1.
        truth: bool of the same shape.

    Raises:
        InputError: values outside 0 to 1, such as logits, or a mask of 0 and 255.

    >>> quarter = measure_reliability(np.full(8, 0.25), np.arange(8) < 2)
    >>> quarter.expected_calibration_error
    0.0
    >>> measure_reliability(np.full(8, 0.75), np.arange(8) < 2).expected_calibration_error
    0.5
    """
    probabilities, truth = np.ravel(probabilities), np.ravel(truth)
    for name, values in (("probabilities", probabilities), ("truth", truth)):
        check_unit_range(values.min(initial=0), values.max(initial=0), name, "give probabilities, not logits, and bool")
    places = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    pixels = np.bincount(places, minlength=BINS)
    with np.errstate(invalid="ignore"):
        predicted, observed = (np.bincount(places, values, BINS) / pixels for values in (probabilities, truth))
    return Reliability(pixels, predicted, observed)


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Find what to divide logits by so that their cross-entropy is least; above 1 the network was too sure of itself.

    Args:
        logits: float of any shape, as the network gives them.
        truth: bool of the same shape, with and without nuclei.

    Returns:
        a temperature between `BOUNDS`.
    """
    logits, truth = np.ravel(logits), np.ravel(truth)

    def cross_entropy(log_temperature: float) -> float:
        return log_loss(truth, expit(logits / np.exp(log_temperature)), labels=[False, True])

    return float(np.exp(minimize_scalar(cross_entropy, bounds=np.log(BOUNDS), method="bounded").x))
