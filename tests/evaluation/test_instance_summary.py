"""Scores of nuclei over images and by kind: by hand, against scikit-learn, and by label maps of one kind."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nightly import EXAMPLES
from sklearn.metrics import confusion_matrix

from helpers import metrics
from helpers.errors import InputError
from helpers.evaluation.instance_summary import (
    count_kinds,
    detection_counts,
    f1_by_kind,
    kind_counts,
    panoptic_quality_by_kind,
    summarize,
)
from helpers.instance_metrics import InstanceScores, match_instances, score_image

EMPTY, ONE = np.zeros((4, 40), int), np.zeros((4, 40), int)
ONE[:2, :2] = 1
HALF_MISSED = ONE.copy()
HALF_MISSED[:2, 30:32] = 2  # beyond the radius of the other
# Predicted and true: perfect, one of two nuclei missed, all missed, one invented, nothing.
IMAGES = [score_image(*maps) for maps in ((ONE, ONE), (ONE, HALF_MISSED), (EMPTY, ONE), (ONE, EMPTY), (EMPTY, EMPTY))]


def test_means_by_hand():
    result = summarize(IMAGES, ["lung", "lung", "lung", "skin", "skin"])
    assert result == pytest.approx(
        {
            "pq": (1 + 2 / 3) / 4,
            "dq": (1 + 2 / 3) / 4,
            "sq": (1 + 1) / 4,
            "aji": (1 + 1 / 2) / 4,
            "aji_plus": (1 + 1 / 2) / 4,
            "n_counted": 4,
            "bpq": (1 + 2 / 3) / 3,  # the invented nucleus of the skin does not count: PanNuke's rule
            "n_bpq": 3,
            "detection_precision": 2 / 3,
            "detection_recall": 2 / 4,
            "detection_f1": 4 / (4 + 1 + 2),
            "n": 5,
            "n_both_empty": 1,
        }
    )


def test_each_tissue_counts_once():
    result = summarize(IMAGES[:3], ["lung", "lung", "skin"])
    assert result["bpq"] == pytest.approx(((1 + 2 / 3) / 2 + 0) / 2)
    assert result["pq"] == summarize(IMAGES[:3])["bpq"] == pytest.approx((1 + 2 / 3) / 3)


def test_absent_kinds_are_left_out():
    kind_pq = np.array([[0.5, np.nan, 1.0], [np.nan, np.nan, 0.25], [np.nan] * 3, [0.0, np.nan, np.nan]])
    result = summarize(IMAGES[:4], ["lung", "lung", "lung", "skin"], kind_pq)
    assert (result["mpq"], result["n_mpq"]) == pytest.approx(((0.75 + 0.25) / 2 / 2, 3))


@pytest.mark.parametrize("images", [[], IMAGES[4:]])
def test_what_is_not_defined_is_nan(images):
    result = summarize(images, kind_pq=np.full((len(images), 2), np.nan))
    numbers = {key: value for key, value in result.items() if key.startswith("n")}
    expected = {"n": len(images), "n_both_empty": len(images), "n_counted": 0, "n_bpq": 0, "n_mpq": 0}
    assert numbers == expected
    assert all(math.isnan(value) for key, value in result.items() if key not in numbers)


@pytest.mark.parametrize("given", [{"tissues": ["lung"]}, {"kind_pq": np.ones((6, 3))}])
def test_one_tissue_and_one_row_for_each_image(given):
    with pytest.raises(ValueError, match="expected one for each of 5 images, found"):
        summarize(IMAGES, **given)


def test_intervals_come_from_metrics():
    assert detection_counts(IMAGES).tolist() == [[1, 0, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert detection_counts([]).shape == (0, 4)
    groups, result = np.arange(5), summarize(IMAGES)
    mean, low, high = metrics.bootstrap_mean([one.pq for one in IMAGES], groups)
    assert mean == pytest.approx(result["pq"])
    assert low < mean < high
    low, high = metrics.bootstrap_interval(detection_counts(IMAGES), groups, "dice_pooled")
    assert low < result["detection_f1"] < high


# Kinds.


def test_kinds_are_counted_by_hand():
    pairs = np.array([[0, 0], [1, 1], [2, 3]])
    table = count_kinds(pairs, predicted_kinds=[0, 1, 1, 0, 0], true_kinds=[0, 0, 1, 1], num_kinds=2)
    assert table.tolist() == [[1, 1, 0], [0, 1, 1], [2, 0, 0]]
    # Kind 0: 1 right, 1 taken for the other, 2 invented. Kind 1: 1 right, 1 too many, 1 missed.
    assert f1_by_kind(table).tolist() == [2 / (2 + 2 + 2), 2 / (2 + 2 + 1)]


def test_counts_of_kinds_by_image_add_up_to_their_f1():
    first, second = np.random.default_rng(0).integers(0, 9, (2, 4, 4))
    counts = kind_counts(np.array([first, second]))
    assert counts.shape == (2, 3, 4)
    found = [metrics.scores(counts[:, kind])["dice_pooled"] for kind in range(3)]
    np.testing.assert_allclose(found, f1_by_kind(first + second))


def test_nuclei_of_unknown_kind_are_left_out_with_their_pairs():
    pairs = np.array([[0, 0], [1, 1]])
    table = count_kinds(pairs, [0, 1, 1], [-1, 1, -1], 2)
    assert table.tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 0]]
    values = f1_by_kind(table)
    assert math.isnan(values[0])
    assert values[1] == 2 / (2 + 1)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"predicted_kinds": [-1]}, "predicted_kinds: expected 0 to 1, found -1 to -1"),
        ({"predicted_kinds": [2]}, "predicted_kinds: expected 0 to 1, found 2 to 2"),
        ({"true_kinds": [-2]}, "true_kinds: expected -1 to 1, found -2 to -2"),
        ({"true_kinds": [5]}, "true_kinds: expected -1 to 1, found 5 to 5"),
    ],
)
def test_kinds_beyond_the_range_are_refused(kinds, message):
    with pytest.raises(InputError, match=message):
        count_kinds(np.array([[0, 0]]), **({"predicted_kinds": [0], "true_kinds": [0]} | kinds), num_kinds=2)


def test_no_nucleus_gives_an_empty_table():
    table = count_kinds(np.zeros((0, 2), int), [], [], 3)
    assert table.tolist() == np.zeros((4, 4)).tolist()
    assert np.isnan(f1_by_kind(table)).all()


def test_confusion_of_pairs_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    predicted, true = random.integers(0, 4, (2, 50))
    pairs = np.stack([random.permutation(50)[:30], random.permutation(50)[:30]], axis=1)
    table = count_kinds(pairs, predicted, true, 4)
    expected = confusion_matrix(true[pairs[:, 1]], predicted[pairs[:, 0]], labels=range(4))
    np.testing.assert_array_equal(table[:4, :4], expected)
    assert table.sum() == 30 + 20 + 20
    np.testing.assert_array_equal(table[:4].sum(1), np.bincount(true, minlength=4))
    np.testing.assert_array_equal(table[:, :4].sum(0), np.bincount(predicted, minlength=4))


maps_of_nuclei = arrays(np.int64, (2, 5, 6), elements=st.integers(0, 5))
kinds_of_ids = st.lists(st.integers(0, 2), min_size=6, max_size=6)


@settings(max_examples=EXAMPLES, deadline=None)
@given(maps_of_nuclei, kinds_of_ids, kinds_of_ids)
def test_quality_of_a_kind_is_that_of_the_maps_of_it_alone(maps, predicted_kinds, true_kinds):
    predicted_kinds, true_kinds = np.array(predicted_kinds), np.array(true_kinds)
    matching = match_instances(*maps)
    values = panoptic_quality_by_kind(
        matching, predicted_kinds[matching.predicted.ids], true_kinds[matching.truth.ids], 3
    )
    for kind, value in enumerate(values):
        predicted = np.where(predicted_kinds[maps[0]] == kind, maps[0], 0)
        truth = np.where(true_kinds[maps[1]] == kind, maps[1], 0)
        expected = score_image(predicted, truth).pq if truth.any() else math.nan
        assert value == pytest.approx(expected, nan_ok=True)


def test_an_invented_kind_is_left_out_and_one_that_is_missed_is_zero():
    matching = match_instances(HALF_MISSED, HALF_MISSED)
    assert panoptic_quality_by_kind(matching, [0, 1], [0, 0], 3) == pytest.approx([2 / 3, np.nan, np.nan], nan_ok=True)
    assert panoptic_quality_by_kind(matching, [0, 0], [0, 1], 2) == pytest.approx([2 / 3, 0])


def test_scores_are_plain_numbers():
    assert {type(value) for one in IMAGES for value in vars(one).values()} == {int, float}
    assert isinstance(IMAGES[0], InstanceScores)
