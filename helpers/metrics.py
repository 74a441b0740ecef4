"""What a segmentation is worth: everything from the four counts of each image, under every convention of Dice.

Reference: Maier-Hein et al. 2024, Metrics reloaded, doi:10.1038/s41592-023-02151-z.
"""

import math

import numpy as np

from helpers.errors import InputError

COUNT_NAMES = ("tp", "fp", "fn", "tn")
FEWEST_FOR_INTERVAL = 5  # source images: of fewer an interval says nothing


def count_pixels(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Count true and false positives and negatives of each image.

    Args:
        predicted: `(N, H, W)` bool, or whole numbers of which all but 0 count.
        truth: likewise.

    Returns:
        `(N, 4)` int64: TP, FP, FN, TN.

    Raises:
        ValueError: the shapes differ or are not three-dimensional.
        InputError: probabilities or logits, of which nearly all would count.

    >>> count_pixels(np.array([[[True, True, False, False]]]), np.array([[[True, False, True, False]]]))
    array([[1, 1, 1, 1]])
    """
    if predicted.shape != truth.shape or truth.ndim != 3:
        raise ValueError(f"expected two arrays of one shape (N, H, W), found {predicted.shape} and {truth.shape}")
    for name, values in (("predicted", predicted), ("truth", truth)):
        if values.dtype.kind == "f" and (values % 1 != 0).any():
            raise InputError(
                f"{name}: expected a mask, or whole numbers, found fractions; compare with a threshold first"
            )
    predicted, truth = predicted.astype(bool), truth.astype(bool)
    pairs = (predicted & truth, predicted & ~truth, ~predicted & truth, ~predicted & ~truth)
    return np.stack([pair.sum((1, 2), dtype=np.int64) for pair in pairs], axis=1)


def dice_per_image(counts: np.ndarray) -> np.ndarray:
    """Give 2 TP / (2 TP + FP + FN) of each image, NaN where truth and prediction are both empty.

    Args:
        counts: `(N, 4)`, as from `count_pixels`.

    >>> dice_per_image(np.array([[3, 1, 1, 5], [0, 0, 0, 9]]))
    array([0.75,  nan])
    """
    tp, fp, fn, _ = np.asarray(counts, dtype=np.float64).T
    return _ratio(2 * tp, 2 * tp + fp + fn)


def iou_per_image(counts: np.ndarray) -> np.ndarray:
    """Give TP / (TP + FP + FN) of each image, NaN where truth and prediction are both empty."""
    tp, fp, fn, _ = np.asarray(counts, dtype=np.float64).T
    return _ratio(tp, tp + fp + fn)


def scores(counts: np.ndarray) -> dict[str, float | int]:
    """Score a set of images from their counts.

    Dice and IoU are given under four conventions, which differ in what an image without nuclei counts:

    | key | |
    |---|---|
    | `dice` | mean over images with nuclei only: "Dice" without a word more |
    | `dice_empty_zero` | mean over all images, one without nuclei counts 0 |
    | `dice_empty_one` | mean over all images, one without nuclei counts 1 if none is predicted, else 0 |
    | `dice_pooled` | one Dice over all pixels |

    `background_accuracy` (specificity), `nuclei_accuracy` (recall), `recall`, `precision` and `accuracy` are over all
    pixels. What is not defined is NaN.

    Args:
        counts: `(N, 4)`, as from `count_pixels`.

    Returns:
        the scores above, `n` images and `n_with_nuclei` of them.
    """
    counts = np.asarray(counts, dtype=np.int64).reshape(-1, len(COUNT_NAMES))
    tp, fp, fn, tn = (int(value) for value in counts.sum(0))
    occupied = counts[:, 0] + counts[:, 2] > 0
    result = {}
    for name, per_image in (("dice", dice_per_image), ("iou", iou_per_image)):
        values = per_image(counts)
        zero = np.where(occupied, values, 0.0)
        one = np.where(occupied, values, np.isnan(values))  # NaN exactly where both are empty
        result[name] = _mean(values[occupied])
        result[f"{name}_empty_zero"], result[f"{name}_empty_one"] = _mean(zero), _mean(one)
        result[f"{name}_pooled"] = float(per_image(np.array([[tp, fp, fn, tn]]))[0])
    result["precision"], result["recall"] = _share(tp, tp + fp), _share(tp, tp + fn)
    result["background_accuracy"], result["nuclei_accuracy"] = _share(tn, tn + fp), result["recall"]
    result["accuracy"] = _share(tp + tn, tp + fp + fn + tn)
    return result | {"n": len(counts), "n_with_nuclei": int(occupied.sum())}


def bootstrap_interval(
    counts: np.ndarray, groups: np.ndarray, key: str = "dice", resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Give the 95 % percentile interval of a score when source images are drawn again with replacement.

    Tiles of one source image are alike, so whole source images are drawn and not tiles.

    Args:
        counts: `(N, 4)`, as from `count_pixels`.
        groups: `(N,)`, the source image of each row.
        key: a key of `scores`.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        lower and upper end; NaN for fewer than two source images or an undefined score.

    Reference:
        Efron, Tibshirani 1993, An Introduction to the Bootstrap, section 13.3; groups as in section 8.6 of
        Davison, Hinkley 1997, doi:10.1017/CBO9780511802843.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        return math.nan, math.nan
    above, below = _group_sums(counts, key, group_of)
    draws = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    return _percentiles(_ratio(above[draws].sum(1), below[draws].sum(1)))


def bootstrap_mean(
    values: np.ndarray, groups: np.ndarray, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Give the mean of values with its 95 % percentile interval when whole groups are drawn again with replacement.

    Args:
        values: `(N,)`; NaN is left out.
        groups: `(N,)`, the source image of each value, as in `bootstrap_interval`.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        the mean and the ends of its interval; NaN without values, ends for fewer than two groups.

    >>> bootstrap_mean(np.array([1.0, 3.0, np.nan]), np.array(["a", "a", "b"]))
    (2.0, nan, nan)
    """
    values, groups = np.asarray(values, dtype=np.float64), np.asarray(groups)
    known = ~np.isnan(values)
    names, group_of = np.unique(groups[known], return_inverse=True)
    if len(names) < 2:
        return _mean(values[known]), math.nan, math.nan
    sums, sizes = np.bincount(group_of, values[known]), np.bincount(group_of)
    draws = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    low, high = np.percentile(sums[draws].sum(1) / sizes[draws].sum(1), [2.5, 97.5])
    return _mean(values[known]), float(low), float(high)


def paired_bootstrap(
    counts_a: np.ndarray,
    counts_b: np.ndarray,
    groups: np.ndarray,
    key: str = "dice",
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Give the difference a - b of a score of two predictions for the same images, with its 95 % percentile interval.

    In every draw both are scored on the same source images: what makes an image hard for both cancels, so that
    differences far smaller than either score's own interval show. An interval that holds 0 says that other source
    images might as well have turned the difference round.

    Args:
        counts_a: `(N, 4)`, as from `count_pixels`.
        counts_b: `(N, 4)`, of another prediction for the same images.
        groups: `(N,)`, the source image of each row; whole source images are drawn, as in `bootstrap_interval`.
        key: a score of `scores`.
        resamples: number of draws.
        seed: of the draws.

    Returns:
        the difference and the ends of its interval; NaN where the score is not defined, ends for fewer than two groups.

    Raises:
        ValueError: counts of other shapes or other images.

    Reference:
        Efron, Tibshirani 1993, An Introduction to the Bootstrap, section 13.3.
    """
    both = [np.asarray(counts, dtype=np.int64) for counts in (counts_a, counts_b)]
    sizes = [(counts[:, 0] + counts[:, 2], counts[:, 1] + counts[:, 3]) for counts in both]  # nuclei, background
    if both[0].shape != both[1].shape or not np.array_equal(*sizes):
        raise ValueError("expected counts of two predictions for the same images, found other numbers of true pixels")
    names, group_of = np.unique(groups, return_inverse=True)
    sums = [_group_sums(counts, key, group_of) for counts in both]
    first, second = (_ratio(above.sum(keepdims=True), below.sum(keepdims=True))[0] for above, below in sums)
    if len(names) < 2:
        return float(first - second), math.nan, math.nan
    draws = np.random.default_rng(seed).integers(len(names), size=(resamples, len(names)))
    first_draws, second_draws = (_ratio(above[draws].sum(1), below[draws].sum(1)) for above, below in sums)
    return float(first - second), *_percentiles(first_draws - second_draws)


def _group_sums(counts: np.ndarray, key: str, group_of: np.ndarray) -> list[np.ndarray]:
    """Sum by group what stands above and below the line of a score: in each draw they need only be added up."""
    return [np.bincount(group_of, terms) for terms in _fraction(np.asarray(counts), key)]


def _percentiles(draws: np.ndarray) -> tuple[float, float]:
    """Give the ends of the 95 % percentile interval; NaN where no draw is defined."""
    low, high = np.nanpercentile(draws, [2.5, 97.5]) if not np.isnan(draws).all() else (math.nan, math.nan)
    return float(low), float(high)


def _fraction(counts: np.ndarray, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Give for each image what is summed above and below the line of a score: `scores(counts)[key]` is their ratio."""
    tp, fp, fn, tn = counts.astype(np.float64).T
    pooled = {
        "dice_pooled": (2 * tp, 2 * tp + fp + fn),
        "iou_pooled": (tp, tp + fp + fn),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "nuclei_accuracy": (tp, tp + fn),
        "background_accuracy": (tn, tn + fp),
        "accuracy": (tp + tn, tp + fp + fn + tn),
    }
    if key in pooled:
        return pooled[key]
    name, _, empty = key.partition("_")
    values, occupied = {"dice": dice_per_image, "iou": iou_per_image}[name](counts), tp + fn > 0
    of_empty = np.isnan(values) if empty == "empty_one" else np.zeros_like(values)  # NaN exactly where both are empty
    counted = np.ones_like(values) if empty else occupied.astype(np.float64)
    return np.where(occupied, values, of_empty), counted


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan
