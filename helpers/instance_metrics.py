"""How well nuclei are told apart: one matching of predicted and true nuclei, and every score from it.

A label map is `(H, W)` whole numbers: 0 is background, and all pixels of one id are one nucleus, in however many
pieces. Nuclei are taken in reading order (by their topmost, then leftmost pixel), so ids and their order play no role,
and ties go to the nucleus that is read first.

Means over images, tissues and kinds are in `helpers.evaluation.instance_summary`. Intervals are the ones of
`helpers.metrics`: `bootstrap_mean([one.pq for one in scores], groups)`, and with the differences of two predictions for
the same images the paired one.

Reference: Maier-Hein et al. 2024, Metrics reloaded, doi:10.1038/s41592-023-02151-z.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from helpers.errors import InputError

DETECTION_RADIUS = 12.0  # pixels at 0.25 um/px (40x), so 3 um: HoVer-Net's


@dataclass(frozen=True)
class Nuclei:
    """The N nuclei of one label map, in reading order."""

    ids: np.ndarray  # (N,) int64
    areas: np.ndarray  # (N,) int64, pixels
    centroids: np.ndarray  # (N, 2) float64, x and y in pixels; the first pixel's centre is (0, 0)


@dataclass(frozen=True)
class Matching:
    """Which predicted nuclei of an image share pixels with which true ones; the pairs are those of IoU above 0.5."""

    predicted: Nuclei
    truth: Nuclei
    overlaps: np.ndarray  # (K, 2) int64: places in `predicted` and `truth` of nuclei that share pixels
    shared: np.ndarray  # (K,) int64: how many pixels

    @property
    def unions(self) -> np.ndarray:
        """`(K,)` int64: pixels of either nucleus."""
        return self.predicted.areas[self.overlaps[:, 0]] + self.truth.areas[self.overlaps[:, 1]] - self.shared

    @property
    def matched(self) -> np.ndarray:
        """`(M, 2)` int64: places in `predicted` and `truth` of the pairs; none stands in two (Kirillov et al. 2019)."""
        return self.overlaps[2 * self.shared > self.unions]  # whole numbers: exactly one half is no match

    @property
    def ious(self) -> np.ndarray:
        """`(M,)` float64: the IoU of each pair, above 0.5."""
        values = self.shared / self.unions
        return values[2 * self.shared > self.unions]

    @property
    def pairs(self) -> list[tuple[int, int, float]]:
        """The predicted id, the true id and the IoU of each pair."""
        predicted, truth = self.predicted.ids[self.matched[:, 0]], self.truth.ids[self.matched[:, 1]]
        return list(zip(predicted.tolist(), truth.tolist(), self.ious.tolist(), strict=True))

    @property
    def unmatched_predicted(self) -> np.ndarray:
        """Ids of predicted nuclei in no pair: false positives."""
        return np.delete(self.predicted.ids, self.matched[:, 0])

    @property
    def unmatched_true(self) -> np.ndarray:
        """Ids of true nuclei in no pair: false negatives."""
        return np.delete(self.truth.ids, self.matched[:, 1])


@dataclass(frozen=True)
class InstanceScores:
    """The scores of one image, and the counts that add up over images."""

    pq: float
    dq: float
    sq: float
    aji: float
    aji_plus: float
    predicted: int  # nuclei
    true: int  # nuclei
    matched: int  # pairs of IoU above 0.5
    iou_sum: float  # over these pairs
    detected: int  # pairs of centroids within the radius


def match_instances(predicted: np.ndarray, truth: np.ndarray) -> Matching:
    """Count the pixels that each predicted nucleus shares with each true one, once for all scores.

    Args:
        predicted: `(H, W)` label map.
        truth: likewise.

    Raises:
        ValueError: the shapes differ or are not two-dimensional.
        InputError: fractions, negative values, or a mask of truth values, which does not tell nuclei apart.

    >>> match_instances(np.array([[7, 7, 7, 0]]), np.array([[0, 3, 3, 0]])).pairs
    [(7, 3, 0.6666666666666666)]
    """
    predicted, truth = np.asarray(predicted), np.asarray(truth)
    if predicted.shape != truth.shape or truth.ndim != 2:
        raise ValueError(f"expected two label maps of one shape (H, W), found {predicted.shape} and {truth.shape}")
    predicted, truth = _whole_numbers(predicted, "predicted"), _whole_numbers(truth, "truth")
    # Runs of pixels within a row that are alike in both maps: far fewer than pixels.
    begins = np.ones(truth.shape, dtype=bool)
    begins[:, 1:] = (predicted[:, 1:] != predicted[:, :-1]) | (truth[:, 1:] != truth[:, :-1])
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=truth.size)
    runs = starts, lengths, truth.shape[1]
    predicted_nuclei, predicted_places = _list_nuclei(predicted.ravel()[starts], *runs)
    true_nuclei, true_places = _list_nuclei(truth.ravel()[starts], *runs)
    both = (predicted_places >= 0) & (true_places >= 0)
    width = max(len(true_nuclei.ids), 1)
    codes, code_of = np.unique(predicted_places[both] * width + true_places[both], return_inverse=True)
    shared = np.bincount(code_of, lengths[both], minlength=len(codes)).astype(np.int64)
    return Matching(predicted_nuclei, true_nuclei, np.stack(np.divmod(codes, width), axis=1), shared)


def panoptic_quality(matched: int, iou_sum: float, predicted: int, true: int) -> tuple[float, float, float]:
    """Give PQ, DQ (the F1 of pairs) and SQ (their mean IoU): PQ = DQ x SQ. The counts may be of one image or pooled.

    Returns:
        all NaN without any nucleus, predicted or true; SQ is 0 without a pair, so all are 0 where one side is empty.

    Reference:
        Kirillov et al. 2019, Panoptic Segmentation, equation 1, doi:10.1109/CVPR.2019.00963.

    >>> panoptic_quality(matched=2, iou_sum=1.5, predicted=2, true=3)
    (0.6, 0.8, 0.75)
    """
    if predicted + true == 0:
        return math.nan, math.nan, math.nan
    return 2 * iou_sum / (predicted + true), 2 * matched / (predicted + true), iou_sum / matched if matched else 0.0


def aggregated_jaccard(matching: Matching) -> float:
    """Give the aggregated Jaccard index: shared pixels of the chosen pairs, over their unions and all nuclei left over.

    Each true nucleus chooses the prediction of largest IoU, whether another has chosen it or not.

    Returns:
        NaN where truth and prediction are both empty.

    Reference:
        Kumar et al. 2017, algorithm 1, doi:10.1109/TMI.2017.2677499.
    """
    predicted, true = matching.overlaps.T
    order = np.lexsort((predicted, -matching.shared / matching.unions, true))  # by true nucleus, the best first
    _, first = np.unique(true[order], return_index=True)
    return _aggregate(matching, order[first])


def aggregated_jaccard_plus(matching: Matching) -> float:
    """Give AJI+: as `aggregated_jaccard`, but no prediction is chosen twice, and the sum of IoU is the largest.

    It may be lower than AJI, which counts a prediction that covers two nuclei with both of them.

    Reference:
        Graham et al. 2019, doi:10.1016/j.media.2019.101563, and `get_fast_aji_plus` of their code.
    """
    iou = np.zeros((len(matching.predicted.ids), len(matching.truth.ids)))
    iou[tuple(matching.overlaps.T)] = matching.shared / matching.unions
    chosen = np.zeros(iou.shape, dtype=bool)
    chosen[linear_sum_assignment(iou, maximize=True)] = True
    return _aggregate(matching, np.flatnonzero(chosen[tuple(matching.overlaps.T)]))


def pair_centroids(predicted: np.ndarray, truth: np.ndarray, radius: float = DETECTION_RADIUS) -> np.ndarray:
    """Pair centroids one to one so that the distances add up to the least, and drop pairs further apart than `radius`.

    As HoVer-Net does, distant centroids take part in the pairing too: in a crowd a near pair may be parted for two
    pairs that are then dropped.

    Args:
        predicted: `(P, 2)`, x and y in pixels.
        truth: `(T, 2)`, likewise.
        radius: pixels; a pair of exactly this distance is kept. 12 are 3 um at 0.25 um/px.

    Returns:
        `(M, 2)` int64: places in `predicted` and `truth`.

    Raises:
        ValueError: other shapes, or coordinates that are no numbers.

    Reference:
        Graham et al. 2019, doi:10.1016/j.media.2019.101563, and `pair_coordinates` of their code.
    """
    if np.shape(predicted)[1:] != (2,) or np.shape(truth)[1:] != (2,):
        raise ValueError(f"expected centroids (N, 2), found {np.shape(predicted)} and {np.shape(truth)}")
    distances = cdist(predicted, truth)
    pairs = np.stack(linear_sum_assignment(distances), axis=1)
    return pairs[distances[tuple(pairs.T)] <= radius]


def score_image(predicted: np.ndarray, truth: np.ndarray, radius: float = DETECTION_RADIUS) -> InstanceScores:
    """Score the label map of one image, whatever the kinds: arguments and errors as of the functions it calls."""
    return score_matching(match_instances(predicted, truth), radius)


def score_matching(matching: Matching, radius: float = DETECTION_RADIUS) -> InstanceScores:
    """Score one image as `score_image` does, from a matching that is there already."""
    numbers = len(matching.predicted.ids), len(matching.truth.ids)
    matched, iou_sum = len(matching.matched), float(matching.ious.sum())
    quality = panoptic_quality(matched, iou_sum, *numbers)
    jaccard = aggregated_jaccard(matching), aggregated_jaccard_plus(matching)
    detected = len(pair_centroids(matching.predicted.centroids, matching.truth.centroids, radius))
    return InstanceScores(*quality, *jaccard, *numbers, matched, iou_sum, detected)


def _whole_numbers(values: np.ndarray, name: str) -> np.ndarray:
    """Give a label map as int64, if it is one."""
    fitting = np.zeros(values.shape, dtype=bool)
    if values.dtype.kind in "iuf":
        fitting = (values >= 0) & (values < 2**63) & (values == np.floor(values))  # NaN fits none of them
    if not fitting.all():
        raise InputError(
            f"{name}: expected ids of nuclei, whole numbers from 0 on, found {values[~fitting][0]} ({values.dtype}); "
            "number the nuclei first, for one by scipy.ndimage.label"
        )
    return values.astype(np.int64)


def _list_nuclei(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray, width: int) -> tuple[Nuclei, np.ndarray]:
    """List the nuclei of one map in reading order, and give each run's place in that list, -1 for background."""
    kept = values > 0
    ids, first, place = np.unique(values[kept], return_index=True, return_inverse=True)
    order = np.argsort(first)
    places = np.full(len(values), -1)
    places[kept] = np.argsort(order)[place]
    rows, columns = np.divmod(starts[kept], width)
    weights = lengths[kept]
    areas, x, y = (
        np.bincount(places[kept], weights * one, minlength=len(ids)) for one in (1, columns + (weights - 1) / 2, rows)
    )
    return Nuclei(ids[order], areas.astype(np.int64), np.stack([x, y], axis=1) / areas[:, None]), places


def _aggregate(matching: Matching, chosen: np.ndarray) -> float:
    """Give shared pixels of the chosen overlaps, over their unions and the nuclei that none of them holds."""
    predicted, true = matching.overlaps[chosen].T
    left = np.delete(matching.predicted.areas, predicted).sum() + np.delete(matching.truth.areas, true).sum()
    union = int(matching.unions[chosen].sum() + left)
    return int(matching.shared[chosen].sum()) / union if union else math.nan
