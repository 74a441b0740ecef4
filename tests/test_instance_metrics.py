"""Scores of nuclei: by hand, at the corners where packages differ, against torchmetrics, and by slow masks."""

import csv
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nightly import EXAMPLES
from scipy.ndimage import center_of_mass
from torchmetrics.detection import PanopticQuality

from helpers.errors import InputError
from helpers.instance_metrics import (
    aggregated_jaccard,
    aggregated_jaccard_plus,
    match_instances,
    pair_centroids,
    panoptic_quality,
    score_image,
)

PROPERTY = settings(max_examples=EXAMPLES, deadline=None)
SLOW = settings(PROPERTY, max_examples=EXAMPLES // 4)

EMPTY = np.zeros((2, 8), dtype=np.int64)
SIDE = st.integers(1, 7)
# Few ids on few pixels: nuclei in pieces, of one pixel, and many that share pixels with several others.
TWO_MAPS = st.tuples(SIDE, SIDE).flatmap(lambda shape: arrays(np.int64, (2, *shape), elements=st.integers(0, 4)))


def row(*ids: int) -> np.ndarray:
    return np.array([ids])


def qualities(predicted: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    one = score_image(predicted, truth)
    return one.pq, one.dq, one.sq, one.aji, one.aji_plus


def discs(seed: int, count: int = 30, size: int = 160) -> np.ndarray:
    """A label map of discs of 6 to 10 pixels radius, about where those of any other seed are."""
    random, labels = np.random.default_rng(seed), np.zeros((size, size), np.int64)
    rows, columns = np.mgrid[:size, :size]
    places = np.random.default_rng(99).uniform(0, size, (count, 2))
    for number in random.permutation(count):
        y, x = places[number] + random.uniform(-2, 2, 2)
        labels[(rows - y) ** 2 + (columns - x) ** 2 <= random.uniform(6, 10) ** 2] = number + 1
    return labels


# By hand.


def test_pairs_and_what_is_left_by_hand():
    truth = row(3, 3, 3, 3, 0, 3500, 3500, 0, 9)
    predicted = row(7, 7, 7, 0, 0, 1, 1, 1, 0)
    matching = match_instances(predicted, truth)
    assert matching.pairs == [(7, 3, 3 / 4), (1, 3500, 2 / 3)]
    assert matching.unmatched_predicted.tolist() == []
    assert matching.unmatched_true.tolist() == [9]
    iou_sum = 3 / 4 + 2 / 3
    # Shared 3 + 2 pixels; unions 4 + 3, and the nucleus of one pixel that is missed.
    assert qualities(predicted, truth) == pytest.approx((iou_sum / 2.5, 2 / 2.5, iou_sum / 2, 5 / 8, 5 / 8))


def test_one_half_is_no_match():
    truth, predicted = row(1, 1, 1, 1), row(5, 5, 0, 0)
    assert match_instances(predicted, truth).pairs == []
    assert qualities(predicted, truth) == (0, 0, 0, 0.5, 0.5)
    just_above = np.array([1] * 1000), np.array([5] * 501 + [0] * 499)
    assert match_instances(*(one[None] for one in just_above)).pairs == [(1, 5, 0.501)]


def test_one_id_in_two_pieces_is_one_nucleus():
    assert qualities(row(4, 0, 4, 4), row(2, 0, 2, 2)) == (1, 1, 1, 1, 1)
    assert match_instances(row(4, 0, 5, 5), row(2, 0, 2, 2)).pairs == [(5, 2, 2 / 3)]


def test_one_prediction_over_two_nuclei():
    # AJI counts it with each: (2 + 2) / (4 + 4). AJI+ with one of them, the other is left over: 2 / (4 + 2).
    assert qualities(row(1, 1, 1, 1), row(1, 1, 2, 2)) == pytest.approx((0, 0, 0, 1 / 2, 1 / 3))


def test_one_nucleus_parted_in_two():
    # Both take the larger half: 3 / (4 + 1), for the other is left over.
    assert qualities(row(1, 1, 1, 2), row(1, 1, 1, 1)) == pytest.approx((0.75 / 1.5, 1 / 1.5, 0.75, 3 / 5, 3 / 5))


def test_largest_iou_is_chosen_not_the_largest_overlap():
    # The true nucleus shares 3 pixels with a prediction of 12 (IoU 3/14) and 2 with one of 2 (IoU 2/5).
    truth = row(1, 1, 1, 1, 1, *[0] * 9)
    predicted = row(2, 2, 1, 1, 1, *[1] * 9)
    matching = match_instances(predicted, truth)
    assert aggregated_jaccard(matching) == aggregated_jaccard_plus(matching) == 2 / (5 + 12)


def test_assignment_may_give_a_nucleus_its_second_best():
    # The prediction of 4 pixels is the best for both nuclei; apart, each gets one: (2 + 1) / (4 + 3).
    matching = match_instances(row(0, 1, 1, 1, 1, 2), row(1, 1, 1, 2, 2, 2))
    assert aggregated_jaccard(matching) == (2 + 2) / (5 + 5 + 1)
    assert aggregated_jaccard_plus(matching) == (2 + 1) / (5 + 3)


# Images without nuclei.


def test_nothing_there_and_nothing_predicted_is_not_defined():
    one = score_image(EMPTY, EMPTY)
    assert all(math.isnan(value) for value in (one.pq, one.dq, one.sq, one.aji, one.aji_plus))
    assert (one.predicted, one.true, one.matched, one.detected) == (0, 0, 0, 0)


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0)])
def test_maps_without_pixels_hold_no_nucleus(shape):
    assert math.isnan(score_image(np.zeros(shape, int), np.zeros(shape, int)).pq)


def test_one_side_empty_is_zero():
    occupied = np.repeat([[1, 1, 0, 0, 2, 2, 0, 3]], 2, axis=0)
    missed, invented = score_image(EMPTY, occupied), score_image(occupied, EMPTY)
    for one in (missed, invented):
        assert (one.pq, one.dq, one.sq, one.aji, one.aji_plus, one.detected) == (0, 0, 0, 0, 0, 0)
    assert (missed.predicted, missed.true, invented.predicted, invented.true) == (0, 3, 3, 0)


def test_every_nucleus_missed_is_zero_though_the_background_is_found():
    truth, predicted = row(1, 0, 0, 0, 0, 0, 0, 0), row(0, 0, 0, 0, 0, 0, 0, 2)
    assert qualities(predicted, truth) == (0, 0, 0, 0, 0)


def test_corners_where_packages_differ():
    with (Path(__file__).parents[1] / "findings" / "instance_matching_corners.csv").open(newline="") as file:
        corners = {one["corner"]: one for one in csv.DictReader(file)}
    ours = {
        corner: score_image(*(row(*map(int, one[side].split())) for side in ("predicted", "truth"))).pq
        for corner, one in corners.items()
    }
    assert ours == pytest.approx(
        {
            "a perfect prediction": 1,
            "IoU of exactly one half": 0,
            "no nucleus, none predicted": math.nan,
            "every nucleus missed": 0,
            "no nucleus, one predicted": 0,
        },
        nan_ok=True,
    )


# What is no label map.


@pytest.mark.parametrize(
    "values",
    [
        row(0.5, 1.0),
        row(-1, 1),
        row(math.nan, 1),
        row(math.inf, 1),
        row(True, False),
        row("1", "2"),
        row(1j, 1),
        row(1e300, 1),
        np.array([[2**63, 1]], np.uint64),
    ],
)
@pytest.mark.parametrize("name", ["predicted", "truth"])
def test_what_holds_no_ids_is_refused(values, name):
    maps = {"predicted": row(1, 0), "truth": row(1, 0)} | {name: values}
    with pytest.raises(InputError, match=f"^{name}: expected ids of nuclei, whole numbers from 0 on, found .+; number"):
        match_instances(**maps)


@pytest.mark.parametrize("shape", [(2, 4), (6,), (1, 2, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected two label maps of one shape \(H, W\), found"):
        match_instances(np.zeros(shape, int), np.zeros((2, 3) if len(shape) == 2 else shape, int))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint64, np.float32, np.float64])
def test_any_type_of_whole_numbers_is_read(dtype):
    predicted, truth = discs(0).astype(dtype), discs(1).astype(dtype)
    assert score_image(np.asfortranarray(predicted), truth) == score_image(discs(0), discs(1))


def test_what_was_found_is_named():
    with pytest.raises(InputError, match=r"truth: .*, found -3 \(int64\); number the nuclei first"):
        match_instances(row(1, 0), row(1, -3))


# Centroids.


def test_areas_and_centroids_agree_with_scipy():
    labels = discs(3)
    nuclei = match_instances(labels, np.zeros_like(labels)).predicted
    assert (np.bincount(labels.ravel())[nuclei.ids] == nuclei.areas).all()
    y, x = np.transpose(center_of_mass(labels > 0, labels, nuclei.ids))
    np.testing.assert_allclose(nuclei.centroids, np.stack([x, y], axis=1))


def test_nuclei_are_listed_as_they_are_read():
    assert match_instances(np.array([[0, 9, 9], [4, 4, 1]]), np.zeros((2, 3))).predicted.ids.tolist() == [9, 4, 1]


def test_centroids_are_x_and_y():
    labels = np.zeros((5, 9), int)
    labels[1, 6:8] = 1
    assert match_instances(labels, labels).truth.centroids.tolist() == [[6.5, 1.0]]


def test_radius_is_in_pixels_and_holds_its_end():
    assert pair_centroids([[0.0, 0.0]], [[12.0, 0.0]]).tolist() == [[0, 0]]
    assert pair_centroids([[0.0, 0.0]], [[12.1, 0.0]]).tolist() == []
    assert pair_centroids([[0.0, 0.0]], [[3.0, 4.0]], radius=5).tolist() == [[0, 0]]
    assert pair_centroids([[0.0, 0.0]], [[3.0, 4.0]], radius=4.9).tolist() == []


def test_each_centroid_is_paired_once_with_the_least_sum_of_distances():
    assert pair_centroids([[0, 0], [8, 0]], [[9, 0], [1, 0], [100, 0]]).tolist() == [[0, 1], [1, 0]]
    assert len(pair_centroids([[0, 0], [1, 0]], [[0.5, 0]])) == 1
    assert pair_centroids(np.zeros((0, 2)), [[1, 1]]).shape == (0, 2)


@pytest.mark.parametrize("points", [np.zeros((2, 3)), np.zeros(2), [], [[math.nan, 0]]])
def test_what_are_no_centroids_is_refused(points):
    for pair in ((points, [[0, 0]]), ([[0, 0]], points)):
        with pytest.raises(ValueError, match="expected centroids|invalid numeric"):
            pair_centroids(*pair)


def test_distant_centroids_take_part_in_the_pairing_as_in_hover_net():
    # 12.5 + 12.5 is less than 1 + 26: both pairs are too far, and the near one is lost.
    assert len(pair_centroids([[12.5, 0], [26, 0]], [[0, 0], [13.5, 0]], radius=12)) == 0
    assert len(pair_centroids([[12.5, 0]], [[13.5, 0]], radius=12)) == 1


# Against others.


def torchmetrics_quality(predicted: np.ndarray, truth: np.ndarray) -> list[float]:
    """PQ, SQ and RQ of the nuclei, and not of the background, which it counts as a class."""
    metric = PanopticQuality(things={1}, stuffs={0}, return_sq_and_rq=True, return_per_class=True)
    maps = (torch.from_numpy(np.stack([one > 0, one], axis=-1).astype(np.int64))[None] for one in (predicted, truth))
    return metric(*maps)[0].tolist()


@pytest.mark.parametrize("seed", range(0, 8, 2))
def test_panoptic_quality_agrees_with_torchmetrics(seed):
    predicted, truth = discs(seed), discs(seed + 1)
    pq, dq, sq, *_ = qualities(predicted, truth)
    assert 0.1 < pq < 0.9
    assert [pq, sq, dq] == pytest.approx(torchmetrics_quality(predicted, truth), abs=1e-6)


@SLOW
@given(TWO_MAPS)
def test_panoptic_quality_of_odd_maps_agrees_with_torchmetrics(maps):
    pq, dq, sq, *_ = qualities(*maps)
    if not math.isnan(pq):
        assert [pq, sq, dq] == pytest.approx(torchmetrics_quality(*maps), abs=1e-6)


def jaccard_of(maps: np.ndarray, pairs: list[tuple[int, int]]) -> float:
    """Intersections of the pairs of ids, over their unions and all nuclei in none of them, by masks."""
    predicted, truth = maps
    above = sum(((predicted == one) & (truth == other)).sum() for one, other in pairs)
    below = sum(((predicted == one) | (truth == other)).sum() for one, other in pairs)
    for labels, used in ((predicted, {one for one, _ in pairs}), (truth, {other for _, other in pairs})):
        below += (~np.isin(labels, [0, *used])).sum()
    return above / below


def table_of_iou(maps: np.ndarray) -> dict[tuple[int, int], float]:
    predicted, truth = maps
    ids = (sorted({*labels.ravel().tolist()} - {0}) for labels in maps)
    return {
        (one, other): ((predicted == one) & (truth == other)).sum() / ((predicted == one) | (truth == other)).sum()
        for one, other in itertools.product(*ids)
    }


@SLOW
@given(TWO_MAPS)
def test_aggregated_jaccard_is_one_of_those_that_its_rule_allows(maps):
    if not maps.any():
        return
    iou, matching = table_of_iou(maps), match_instances(*maps)
    choices = []  # of each true nucleus: the predictions of largest IoU, several where they tie
    for true in sorted({other for _, other in iou}):
        largest = max(value for (_, other), value in iou.items() if other == true)
        if largest:
            choices.append([pair for pair, value in iou.items() if pair[1] == true and value == largest])
    allowed = [jaccard_of(maps, list(pairs)) for pairs in itertools.product(*choices)]
    assert min(abs(aggregated_jaccard(matching) - value) for value in allowed) < 1e-12


@SLOW
@given(TWO_MAPS)
def test_aji_plus_is_one_of_those_of_the_largest_sum(maps):
    if not maps.any():
        return
    iou, matching = table_of_iou(maps), match_instances(*maps)
    predicted, true = ([*dict.fromkeys(ids)] for ids in (zip(*iou, strict=True) if iou else ((), ())))
    predicted += [None] * len(true)  # with none
    sums = {}
    for order in itertools.permutations(predicted, len(true)):
        pairs = [pair for pair in zip(order, true, strict=True) if iou.get(pair, 0) > 0]
        sums[frozenset(pairs)] = sum(iou[pair] for pair in pairs)
    best = max(sums.values())
    allowed = [jaccard_of(maps, list(pairs)) for pairs, value in sums.items() if value > best - 1e-12]
    assert min(abs(aggregated_jaccard_plus(matching) - value) for value in allowed) < 1e-12


# What holds for any maps.


@PROPERTY
@given(TWO_MAPS)
def test_scores_lie_between_0_and_1_and_know_no_side(maps):
    predicted, truth = maps
    one, turned = score_image(predicted, truth), score_image(truth, predicted)
    assert (one.pq, one.dq, one.sq) == pytest.approx((turned.pq, turned.dq, turned.sq), nan_ok=True)
    assert (one.matched, one.detected) == (turned.matched, turned.detected)
    assert one.pq == pytest.approx(one.dq * one.sq, nan_ok=True)
    assert math.isnan(one.pq) == math.isnan(one.aji) == (not maps.any())
    assert all(0 <= value <= 1 for value in (one.pq, one.dq, one.sq, one.aji, one.aji_plus) if maps.any())


@PROPERTY
@given(TWO_MAPS)
def test_a_perfect_prediction_is_one(maps):
    if maps[0].any():
        assert qualities(maps[0], maps[0]) == (1, 1, 1, 1, 1)


@PROPERTY
@given(TWO_MAPS, st.permutations([7, 3500, 1, 42]), st.permutations([5, 2, 70_000, 3]))
def test_ids_play_no_role(maps, first, second):
    renamed = [np.array([0, *ids])[labels] for ids, labels in zip((first, second), maps, strict=True)]
    one, other = score_image(*maps), score_image(*renamed)
    assert repr(one) == repr(other)  # to the last bit, NaN too


@PROPERTY
@given(TWO_MAPS)
def test_no_nucleus_is_matched_twice_and_none_is_lost(maps):
    matching = match_instances(*maps)
    for place, nuclei, left in (
        (0, matching.predicted, matching.unmatched_predicted),
        (1, matching.truth, matching.unmatched_true),
    ):
        paired = [pair[place] for pair in matching.pairs]
        assert sorted([*paired, *left.tolist()]) == sorted(nuclei.ids.tolist())
        assert nuclei.areas.sum() == (maps[place] > 0).sum()


def test_counts_of_images_add_up():
    ours = [score_image(discs(seed), discs(seed + 1)) for seed in (0, 2)]
    beside = [np.concatenate([discs(seed) + (seed > 1) * 100 * (discs(seed) > 0) for seed in seeds], axis=1)
              for seeds in ((0, 2), (1, 3))]  # fmt: skip
    sums = [sum(getattr(one, name) for one in ours) for name in ("matched", "iou_sum", "predicted", "true")]
    assert panoptic_quality(*sums) == pytest.approx(qualities(*beside)[:3])
