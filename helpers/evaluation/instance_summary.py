"""Scores of nuclei over many images and by kind: means, means over tissues, pooled detection, confusion of kinds."""

import math
from collections.abc import Sequence

import numpy as np

from helpers import metrics
from helpers.errors import InputError
from helpers.instance_metrics import InstanceScores, Matching


def summarize(
    scores: Sequence[InstanceScores], tissues: Sequence[str] | None = None, kind_pq: np.ndarray | None = None
) -> dict[str, float | int]:
    """Score a set of images from the scores of each.

    | key | |
    |---|---|
    | `pq`, `dq`, `sq`, `aji`, `aji_plus` | means over the `n_counted` images with a nucleus, true or predicted |
    | `bpq` | PanNuke's: mean over tissues of means of PQ over the `n_bpq` images with a true nucleus |
    | `mpq` | the same of the mean PQ of the kinds that an image holds, over `n_mpq` images |
    | `detection_precision`, `detection_recall`, `detection_f1` | of pairs of centroids, pooled over all images |
    | `n`, `n_both_empty` | images, and those without a nucleus, true or predicted |

    So `pq` counts nuclei invented in an empty image, as 0, and `bpq` does not. What is not defined is NaN.

    Args:
        scores: one of each image.
        tissues: `(N,)`, of each image; all are one tissue if not given.
        kind_pq: `(N, C)`, for each image what `panoptic_quality_by_kind` gives; without it there is no `mpq`.

    Raises:
        ValueError: tissues or rows of `kind_pq` for another number of images.

    Reference:
        Gamper et al. 2020, arXiv:2003.10778; images and kinds without a true nucleus are left out as in their code.
    """
    for name, given in (("tissues", tissues), ("kind_pq", kind_pq)):
        if given is not None and len(given) != len(scores):
            raise ValueError(f"{name}: expected one for each of {len(scores)} images, found {len(given)}")
    result = {}
    for name in ("pq", "dq", "sq", "aji", "aji_plus"):
        result[name], result["n_counted"] = _mean([getattr(one, name) for one in scores])
    of_true = [one.pq if one.true else math.nan for one in scores]
    result["bpq"], result["n_bpq"] = _mean(of_true, tissues)
    if kind_pq is not None:
        result["mpq"], result["n_mpq"] = _mean([_mean(of_image)[0] for of_image in kind_pq], tissues)
    pooled = metrics.scores(detection_counts(scores))
    for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "dice_pooled")):  # F1 is Dice
        result[f"detection_{name}"] = pooled[key]
    return result | {"n": len(scores), "n_both_empty": len(scores) - result["n_counted"]}


def detection_counts(scores: Sequence[InstanceScores]) -> np.ndarray:
    """Give `(N, 4)` int64 for `helpers.metrics`: centroids paired, predicted alone and true alone; 0 true negatives."""
    counts = [(one.detected, one.predicted - one.detected, one.true - one.detected, 0) for one in scores]
    return np.array(counts, dtype=np.int64).reshape(-1, 4)


def count_kinds(pairs: np.ndarray, predicted_kinds: np.ndarray, true_kinds: np.ndarray, num_kinds: int) -> np.ndarray:
    """Count the kinds of paired and of unpaired nuclei; tables of several images add up.

    Args:
        pairs: `(M, 2)`, places in both, from `pair_centroids` or `Matching.matched`.
        predicted_kinds: `(P,)` whole numbers, 0 to C - 1.
        true_kinds: `(T,)`, likewise, -1 where it is not known: such a nucleus, and what is paired with it, is left out.
        num_kinds: C.

    Returns:
        `(C + 1, C + 1)` int64: `[:C, :C]` is the confusion matrix of pairs, a row a true kind, a column a predicted
        one; the last column counts the true nuclei without a pair, the last row the predicted ones.
    """
    predicted, true = np.asarray(predicted_kinds, dtype=np.int64), np.asarray(true_kinds, dtype=np.int64)
    for name, kinds, lowest in (("predicted_kinds", predicted, 0), ("true_kinds", true, -1)):
        if ((kinds < lowest) | (kinds >= num_kinds)).any():
            raise InputError(f"{name}: expected {lowest} to {num_kinds - 1}, found {kinds.min()} to {kinds.max()}")
    missed, invented = np.delete(true, pairs[:, 1]), np.delete(predicted, pairs[:, 0])
    rows = np.concatenate([true[pairs[:, 1]], missed, np.full(len(invented), num_kinds)])
    columns = np.concatenate([predicted[pairs[:, 0]], np.full(len(missed), num_kinds), invented])
    table = np.zeros((num_kinds + 1, num_kinds + 1), dtype=np.int64)
    np.add.at(table, (rows[rows >= 0], columns[rows >= 0]), 1)
    return table


def f1_by_kind(table: np.ndarray) -> np.ndarray:
    """Give HoVer-Net's F1 of each kind: 2 TP / (2 TP + 2 FP + 2 FN + FPd + FNd), the last two of nuclei without a pair.

    Their formula adds pairs of which neither is of the kind to TP, as true negatives; their code leaves these out
    before it counts, and so are the numbers that are published. With them a rare kind would score high unseen.

    Args:
        table: `(C + 1, C + 1)`, as from `count_kinds` of centroids' pairs, summed over images.

    Returns:
        `(C,)` float64; NaN for a kind that nowhere is, neither true nor predicted.

    Reference:
        Graham et al. 2019, doi:10.1016/j.media.2019.101563, and `run_nuclei_type_stat` of their code.

    >>> f1_by_kind(np.array([[3, 1, 1], [0, 2, 0], [1, 0, 0]]))
    array([0.6       , 0.66666667])
    """
    return metrics.dice_per_image(kind_counts(table))


def kind_counts(table: np.ndarray) -> np.ndarray:
    """Give `(C, 4)` int64 for `helpers.metrics`, whose Dice is `f1_by_kind`: TP, 0, what else stands below the line, 0.

    Tables `(..., C + 1, C + 1)` of several images become `(..., C, 4)`; their pooled Dice is that of their sum.
    """
    true_positives = np.diagonal(table, axis1=-2, axis2=-1)[..., :-1]
    rows, columns = table.sum(-1)[..., :-1], table.sum(-2)[..., :-1]
    wrong = 2 * (rows + columns - 2 * true_positives) - table[..., :-1, -1] - table[..., -1, :-1]
    nothing = np.zeros_like(wrong)
    return np.stack([true_positives, nothing, wrong, nothing], axis=-1)


def panoptic_quality_by_kind(
    matching: Matching, predicted_kinds: np.ndarray, true_kinds: np.ndarray, num_kinds: int
) -> np.ndarray:
    """Give the PQ of each kind, as if only the nuclei of that kind were there; arguments as of `count_kinds`.

    Returns:
        `(C,)` float64; NaN where the image holds no true nucleus of the kind, as in PanNuke's code.
    """
    table = count_kinds(matching.matched, predicted_kinds, true_kinds, num_kinds)
    predicted, true = (
        np.asarray(predicted_kinds)[matching.matched[:, 0]],
        np.asarray(true_kinds)[matching.matched[:, 1]],
    )
    sums = np.bincount(true[predicted == true], matching.ious[predicted == true], minlength=num_kinds)
    above, below = 2 * sums, (table.sum(0) + table.sum(1))[:-1]
    return np.divide(above, below, out=np.full(num_kinds, np.nan), where=table.sum(1)[:-1] > 0)


def _mean(values: Sequence[float], groups: Sequence[str] | None = None) -> tuple[float, int]:
    """Give the mean over groups of the means over their values, and the number of values; NaN is left out."""
    values = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(values)
    if not known.any():
        return math.nan, 0
    _, place = np.unique((np.zeros(len(values)) if groups is None else np.asarray(groups))[known], return_inverse=True)
    return float((np.bincount(place, values[known]) / np.bincount(place)).mean()), int(known.sum())
