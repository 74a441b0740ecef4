"""Where the network is unsure, and whether that tells where it is wrong.

Reference:
    Wang et al. 2019, Aleatoric uncertainty estimation with test-time augmentation, doi:10.1016/j.neucom.2019.01.103.
    Gal, Ghahramani 2016, Dropout as a Bayesian approximation, arXiv:1506.02142.
    Geifman, El-Yaniv 2017, Selective classification for deep neural networks (risk and coverage), arXiv:1705.08500.
"""

from collections.abc import Iterable
from itertools import chain

import numpy as np
import torch
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from helpers.inference.batches import predict_tiles, spread
from helpers.inference.symmetries import SYMMETRIES
from helpers.model import EfficientNetSegmentation

# What uncertainty can be read off: the probability itself, which costs nothing, and two spreads that must beat it.
UNCERTAINTIES = {
    "confidence": "closeness of the probability to 0.5",
    "averaging": "spread over flips and turns",
    "dropout": "spread under Monte Carlo dropout",
}
# And the two that they stand between.
UNCERTAINTY_NAMES = UNCERTAINTIES | {"perfect": "order of the true Dice", "none": "any order"}


def measure_uncertainty(
    model: EfficientNetSegmentation, images: np.ndarray, device: torch.device | str = "cpu", passes: int = 8
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Predict tiles, and give every uncertainty of every pixel.

    Args:
        model: the network.
        images: `(N, S, S, 3)` uint8.
        device: where to compute.
        passes: of Monte Carlo dropout; averaging always takes eight.

    Returns:
        logits `(N, S, S)` float32; and `UNCERTAINTIES` to `(N, S, S)` float32, larger where less sure. The spreads are
        standard deviations of the probability.
    """
    logits = predict_tiles(model, images, device)
    plain = expit(logits)  # the first symmetry, which changes nothing
    turned = (expit(predict_tiles(model, images, device, symmetry=symmetry)) for symmetry in SYMMETRIES[1:])
    return logits, {
        "confidence": 0.5 - np.abs(plain - 0.5),
        "averaging": spread(chain([plain], turned)),
        "dropout": spread(predict_with_dropout(model, images, device, passes)),
    }


def predict_with_dropout(
    model: EfficientNetSegmentation,
    images: np.ndarray,
    device: torch.device | str = "cpu",
    passes: int = 8,
    seed: int = 0,
) -> Iterable[np.ndarray]:
    """Predict tiles again and again with the dropout of training switched on, and nothing else of training.

    Args:
        model: the network; its `dropout` drops channels of the deepest features.
        images: `(N, S, S, 3)` uint8.
        device: where to compute.
        passes: how often.
        seed: of what is dropped.

    Yields:
        `(N, S, S)` float32 probabilities, one pass after the other.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for _ in range(passes):
            yield expit(predict_tiles(model, images, device, dropout=True))


def error_auroc(uncertainty: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Tell, tile by tile, how well an uncertainty ranks wrong pixels above right ones.

    Args:
        uncertainty: `(N, H, W)`, larger where less sure.
        wrong: `(N, H, W)` bool.

    Returns:
        `(N,)` float64, area under the receiver operating characteristic: 1/2 is chance, 1 perfect; NaN where all pixels
        are right or all are wrong.
    """
    return np.array(
        [
            roc_auc_score(is_wrong.ravel(), of_tile.ravel()) if 0 < is_wrong.mean() < 1 else np.nan
            for of_tile, is_wrong in zip(uncertainty, wrong, strict=True)
        ]
    )


def tile_uncertainty(uncertainty: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Sum up an uncertainty for each tile, in units of the nuclei found there, as Dice counts errors.

    Args:
        uncertainty: `(N, H, W)`.
        predicted: `(N, H, W)` bool, the nuclei found.

    Returns:
        `(N,)` float64.
    """
    return uncertainty.sum((1, 2), dtype=np.float64) / np.maximum(1, predicted.sum((1, 2)))


def risk_coverage(uncertainty: np.ndarray, dice: np.ndarray) -> np.ndarray:
    """Give the mean loss of Dice over the surest tiles, for one tile, two, up to all of them.

    Args:
        uncertainty: `(N,)`, as from `tile_uncertainty`.
        dice: `(N,)`; NaN, a tile without nuclei, is left out.

    Returns:
        `(n,)` float64, risk (1 - mean Dice) at a coverage of 1/n, 2/n, ... 1.

    >>> risk_coverage(np.array([2, 1, 3]), np.array([0.5, 1.0, 0.0])).tolist()
    [0.0, 0.25, 0.5]
    """
    known = ~np.isnan(dice)
    ordered = np.argsort(uncertainty[known], kind="stable")
    return np.cumsum(1 - dice[known][ordered]) / np.arange(1, known.sum() + 1)
