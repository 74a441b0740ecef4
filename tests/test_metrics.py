"""Metrics: by hand, against scikit-learn and scipy, and under every convention of the empty mask."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import bootstrap
from sklearn import metrics as sklearn_metrics

from helpers.errors import InputError
from helpers.metrics import (
    bootstrap_interval,
    bootstrap_mean,
    count_pixels,
    dice_per_image,
    iou_per_image,
    paired_bootstrap,
    scores,
)

CONVENTIONS = ("", "_empty_zero", "_empty_one", "_pooled")


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def random_masks(seed: int = 0, images: int = 12, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Truth with nuclei in every image, and a prediction that is wrong in a quarter of the pixels."""
    random = np.random.default_rng(seed)
    truth = random.random((images, 20, 15)) < share
    return truth ^ (random.random(truth.shape) < 0.25), truth


def test_counts_by_hand():
    truth = np.array([[[1, 1, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]], bool)
    predicted = np.array([[[1, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 1]]], bool)
    counts = count_pixels(predicted, truth)
    assert counts.dtype == np.int64
    assert counts.tolist() == [[2, 1, 1, 2], [0, 1, 0, 5]]


@pytest.mark.parametrize("name", ["predicted", "truth"])
def test_probabilities_are_no_mask(name):
    masks = {"predicted": np.ones((1, 2, 2)), "truth": np.ones((1, 2, 2))}
    masks[name][0, 0, 0] = 0.3
    with pytest.raises(InputError, match=f"{name}: expected a mask, or whole numbers, found fractions"):
        count_pixels(**masks)


def test_any_id_above_zero_is_nucleus():
    assert count_pixels(np.array([[[2, 0]]]), np.array([[[7.0, 3.0]]])).tolist() == [[1, 0, 1, 0]]


@pytest.mark.parametrize("shape", [(1, 2, 4), (2, 2, 3), (2, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected two arrays of one shape \(N, H, W\), found"):
        count_pixels(np.zeros(shape, bool), np.zeros((1, 2, 3) if len(shape) == 3 else shape, bool))


def test_scores_by_hand():
    # Dice 6/8 and 2/6, IoU 3/5 and 1/5; in sum TP 4, FP 2, FN 4, TN 20.
    result = scores(np.array([[3, 1, 1, 10], [1, 1, 3, 10]]))
    assert result == pytest.approx(
        {
            "dice": (6 / 8 + 2 / 6) / 2,
            "dice_empty_zero": (6 / 8 + 2 / 6) / 2,
            "dice_empty_one": (6 / 8 + 2 / 6) / 2,
            "dice_pooled": 8 / 14,
            "iou": (3 / 5 + 1 / 5) / 2,
            "iou_empty_zero": (3 / 5 + 1 / 5) / 2,
            "iou_empty_one": (3 / 5 + 1 / 5) / 2,
            "iou_pooled": 4 / 10,
            "precision": 4 / 6,
            "recall": 4 / 8,
            "background_accuracy": 20 / 22,
            "nuclei_accuracy": 4 / 8,
            "accuracy": 24 / 30,
            "n": 2,
            "n_with_nuclei": 2,
        }
    )


# One image of Dice 3/4 and IoU 3/5 beside one of the four kinds of empty.
@pytest.mark.parametrize(
    ("second", "dice", "iou"),
    [
        ([0, 0, 0, 15], (0.75, 0.375, 0.875, 0.75), (0.6, 0.3, 0.8, 3 / 5)),  # no nucleus, none predicted
        ([0, 2, 0, 13], (0.75, 0.375, 0.375, 6 / 10), (0.6, 0.3, 0.3, 3 / 7)),  # no nucleus, some predicted
        ([0, 0, 2, 13], (0.375, 0.375, 0.375, 6 / 10), (0.3, 0.3, 0.3, 3 / 7)),  # nuclei, none predicted
        ([2, 0, 0, 13], (0.875, 0.875, 0.875, 10 / 12), (0.8, 0.8, 0.8, 5 / 7)),  # nuclei, all predicted
    ],
)
def test_empty_images_under_the_four_conventions(second, dice, iou):
    result = scores(np.array([[3, 1, 1, 10], second]))
    assert [result[f"dice{convention}"] for convention in CONVENTIONS] == pytest.approx(dice)
    assert [result[f"iou{convention}"] for convention in CONVENTIONS] == pytest.approx(iou)
    assert result["n"] == 2
    assert result["n_with_nuclei"] == 1 + (second[0] + second[2] > 0)


def test_what_is_not_defined_is_nan():
    nothing = scores(np.zeros((0, 4), int))
    assert (nothing.pop("n"), nothing.pop("n_with_nuclei")) == (0, 0)
    assert all(math.isnan(value) for value in nothing.values())
    empty = scores(np.array([[0, 0, 0, 9]]))
    not_defined = {"dice", "dice_pooled", "iou", "iou_pooled", "precision", "recall", "nuclei_accuracy"}
    assert {key for key, value in empty.items() if math.isnan(value)} == not_defined
    assert (empty["dice_empty_zero"], empty["dice_empty_one"], empty["accuracy"]) == (0, 1, 1)
    full = scores(np.array([[9, 0, 0, 0]]))
    assert {key for key, value in full.items() if math.isnan(value)} == {"background_accuracy"}


def test_per_image_by_hand():
    counts = np.array([[3, 1, 1, 5], [0, 0, 0, 9], [0, 1, 0, 9], [0, 0, 1, 9], [9, 0, 0, 0]])
    np.testing.assert_allclose(dice_per_image(counts), [0.75, np.nan, 0, 0, 1])
    np.testing.assert_allclose(iou_per_image(counts), [0.6, np.nan, 0, 0, 1])


def test_large_counts_do_not_overflow():
    result = scores(np.full((3000, 4), 2**30, dtype=np.int64))
    assert (result["dice_pooled"], result["iou_pooled"], result["accuracy"]) == pytest.approx((1 / 2, 1 / 3, 1 / 2))


@pytest.mark.parametrize("share", [0.02, 0.17, 0.5, 0.95])
def test_agrees_with_scikit_learn(share):
    predicted, truth = random_masks(share=share)
    truth[:, 0, 0] = True  # a nucleus in every image
    result, flat = scores(count_pixels(predicted, truth)), (truth.ravel(), predicted.ravel())
    expected = {
        "dice_pooled": sklearn_metrics.f1_score(*flat),
        "iou_pooled": sklearn_metrics.jaccard_score(*flat),
        "precision": sklearn_metrics.precision_score(*flat),
        "recall": sklearn_metrics.recall_score(*flat),
        "nuclei_accuracy": sklearn_metrics.recall_score(*flat),
        "background_accuracy": sklearn_metrics.recall_score(*flat, pos_label=False),
        "accuracy": sklearn_metrics.accuracy_score(*flat),
        "dice": np.mean([sklearn_metrics.f1_score(*pair) for pair in pairs(truth, predicted)]),
        "iou": np.mean([sklearn_metrics.jaccard_score(*pair) for pair in pairs(truth, predicted)]),
    }
    assert {key: result[key] for key in expected} == pytest.approx(expected, abs=1e-12)
    mean_of_both = (result["background_accuracy"] + result["nuclei_accuracy"]) / 2
    assert mean_of_both == pytest.approx(sklearn_metrics.balanced_accuracy_score(*flat))


def test_per_image_agrees_with_scikit_learn():
    predicted, truth = random_masks(1)
    counts = count_pixels(predicted, truth)
    for ours, theirs in ((dice_per_image, sklearn_metrics.f1_score), (iou_per_image, sklearn_metrics.jaccard_score)):
        np.testing.assert_allclose(ours(counts), [theirs(*pair) for pair in pairs(truth, predicted)])
    matrices = [sklearn_metrics.confusion_matrix(*pair).ravel() for pair in pairs(truth, predicted)]  # TN FP FN TP
    np.testing.assert_array_equal(counts, np.array(matrices)[:, [3, 1, 2, 0]])


def pairs(truth: np.ndarray, predicted: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(one.ravel(), other.ravel()) for one, other in zip(truth, predicted, strict=True)]


def test_empty_images_agree_with_scikit_learns_zero_division():
    predicted, truth = random_masks(2)
    truth[::3], predicted[::4] = False, False
    predicted[3] = False  # with truth[3]: empty and predicted empty
    result = scores(count_pixels(predicted, truth))
    for key, value in (("dice_empty_one", 1), ("dice_empty_zero", 0)):
        expected = [sklearn_metrics.f1_score(*pair, zero_division=value) for pair in pairs(truth, predicted)]
        assert result[key] == pytest.approx(np.mean(expected))


def test_the_reports_accuracies_do_not_give_its_dice():
    # Recall 0.681 and specificity 0.640 at five background pixels to one of nuclei.
    result = scores(np.array([[681, 1800, 319, 3200]]))
    assert (result["nuclei_accuracy"], result["background_accuracy"]) == (0.681, 0.64)
    assert result["dice_pooled"] == pytest.approx(1362 / 3481)  # 0.391, not 0.62 to 0.68
    assert result["accuracy"] == pytest.approx(3881 / 6000)  # 0.647


count_rows = arrays(np.int64, st.tuples(st.integers(1, 6), st.just(4)), elements=st.integers(0, 50))


@settings(max_examples=60, deadline=None)
@given(count_rows)
def test_scores_lie_between_0_and_1_and_in_order(counts):
    result = scores(counts)
    assert scores(counts[::-1]) == pytest.approx(result, nan_ok=True)  # in whatever order the images come
    assert (result.pop("n"), result.pop("n_with_nuclei")) == (len(counts), int((counts[:, [0, 2]].sum(1) > 0).sum()))
    assert all(math.isnan(value) or 0 <= value <= 1 for value in result.values())
    assert result["dice_empty_zero"] <= result["dice_empty_one"]
    assert math.isnan(result["dice"]) or result["dice_empty_zero"] <= result["dice"]
    if not math.isnan(result["dice_pooled"]):
        # For hard masks over the same pixels D = 2 J / (1 + J).
        iou = result["iou_pooled"]
        assert result["dice_pooled"] == pytest.approx(2 * iou / (1 + iou))


@settings(max_examples=40, deadline=None)
@given(arrays(bool, st.tuples(st.just(2), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))))
def test_counts_know_no_direction(masks):
    predicted, truth = masks
    counts = count_pixels(predicted, truth)
    assert (counts.sum(1) == truth[0].size).all()
    for axis in (1, 2):
        np.testing.assert_array_equal(count_pixels(np.flip(predicted, axis), np.flip(truth, axis)), counts)
    np.testing.assert_array_equal(count_pixels(truth, predicted), counts[:, [0, 2, 1, 3]])  # FP and FN change places
    np.testing.assert_array_equal(count_pixels(~predicted, ~truth), counts[:, ::-1])


def test_interval_holds_the_score_and_repeats():
    counts = count_pixels(*random_masks(3, images=30))
    groups = np.repeat(np.arange(10).astype(str), 3)
    for key in ("dice", "dice_pooled", "iou", "accuracy"):
        low, high = bootstrap_interval(counts, groups, key, resamples=300)
        assert low < scores(counts)[key] < high
        assert (low, high) == bootstrap_interval(counts, groups, key, resamples=300)
    assert bootstrap_interval(counts, groups, "accuracy", resamples=300, seed=1) != (low, high)


def test_whole_source_images_are_drawn():
    # Three tiles of "a", one of "b": two draws of four hold "a" or "b" alone, where draws of tiles hardly ever would.
    counts = np.array([[1, 0, 0, 1]] * 3 + [[0, 1, 1, 0]])
    groups = np.array(["a", "a", "a", "b"])
    assert bootstrap_interval(counts, groups, "dice", resamples=200) == (0, 1)


def test_more_tiles_of_the_same_kind_add_no_certainty():
    counts = count_pixels(*random_masks(4, images=8))
    few = bootstrap_interval(counts, np.arange(8), resamples=300)
    many = bootstrap_interval(counts.repeat(20, axis=0), np.arange(8).repeat(20), resamples=300)
    assert many == pytest.approx(few)
    as_if_independent = bootstrap_interval(counts.repeat(20, axis=0), np.arange(160), resamples=300)
    assert as_if_independent[1] - as_if_independent[0] < 0.5 * (few[1] - few[0])


def test_tiles_of_a_source_image_need_not_stand_together():
    counts = count_pixels(*random_masks(5, images=9))
    groups = np.array(list("abcabcabc"))
    order = np.argsort(groups, kind="stable")
    expected = bootstrap_interval(counts[order], groups[order], resamples=200)
    assert bootstrap_interval(counts, groups, resamples=200) == pytest.approx(expected)


def test_one_source_image_tells_nothing_about_others():
    counts = count_pixels(*random_masks())
    assert all(map(math.isnan, bootstrap_interval(counts, np.array(["a"] * len(counts)))))


def test_interval_of_what_is_not_defined():
    empty = np.array([[0, 0, 0, 9]] * 4)
    assert all(map(math.isnan, bootstrap_interval(empty, np.arange(4), resamples=50)))
    # Draws without the one occupied image do not count.
    counts = np.vstack([empty, [[3, 1, 1, 4]]])
    assert bootstrap_interval(counts, np.arange(5), resamples=200) == (0.75, 0.75)


def test_agrees_with_scipys_bootstrap():
    random = np.random.default_rng(6)
    tp = random.integers(10, 100, 60)
    counts = np.stack([tp, 100 - tp, random.integers(0, 80, 60), np.full(60, 500)], axis=1)
    values = dice_per_image(counts)
    expected = bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    low, high = bootstrap_interval(counts, np.arange(60))
    width = expected.high - expected.low
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.06 * width)
    # And with the normal approximation, which holds for a mean of 60.
    error = values.std() / math.sqrt(60)
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.2 * error)


# Two predictions for the same images.


def two_predictions(seed: int = 0, images: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Counts of two predictions that err apart on images hard or easy for both; each has 100 nuclei pixels."""
    random = np.random.default_rng(seed)
    easy = random.integers(20, 80, images)
    return tuple(_of_hundred(easy + random.integers(0, 20, images), random.integers(0, 50, images)) for _ in "ab")


def _of_hundred(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    return np.stack([tp, fp, 100 - tp, 900 - fp], axis=1)


def test_paired_difference_by_hand():
    # Dice 0.9 against 0.8 in the first source image, 0.5 against 0.6 in the second: of two draws with replacement a
    # quarter holds the first alone, a quarter the second alone, so the ends are the two differences.
    first = np.array([[9, 1, 1, 89], [5, 5, 5, 85]])
    second = np.array([[8, 2, 2, 88], [6, 4, 4, 86]])
    assert paired_bootstrap(first, second, np.array(["a", "b"])) == pytest.approx((0.0, -0.1, 0.1))
    assert paired_bootstrap(first[:1], second[:1], np.array(["a"]))[0] == pytest.approx(0.1)


def test_paired_interval_agrees_with_scipys():
    first, second = two_predictions(1)
    expected = bootstrap(
        (dice_per_image(first), dice_per_image(second)), lambda a, b, axis: a.mean(axis) - b.mean(axis), paired=True,
        n_resamples=4000, method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    _, low, high = paired_bootstrap(first, second, np.arange(60))
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.06 * (expected.high - expected.low))


def test_pairing_sees_what_single_intervals_hide():
    random = np.random.default_rng(2)
    tp = random.integers(10, 95, 60)
    worse, better = _of_hundred(tp, np.full(60, 20)), _of_hundred(tp + random.integers(1, 4, 60), np.full(60, 20))
    difference, low, high = paired_bootstrap(better, worse, np.arange(60))
    assert 0 < low < difference < high
    single = bootstrap_interval(worse, np.arange(60), resamples=300)
    assert high - low < 0.1 * (single[1] - single[0])


@pytest.mark.parametrize("key", [key for key in scores(np.zeros((1, 4), int)) if key not in ("n", "n_with_nuclei")])
def test_paired_difference_is_that_of_the_scores(key):
    first, second = two_predictions(3, images=9)
    # Beside them images without nuclei, which both, one or none calls empty.
    first = np.vstack([first, [[0, 0, 0, 99], [0, 5, 0, 94], [0, 0, 0, 99]]])
    second = np.vstack([second, [[0, 0, 0, 99], [0, 9, 0, 90], [0, 1, 0, 98]]])
    groups = np.array(list("aaabbbcccabc"))
    difference, low, high = paired_bootstrap(first, second, groups, key, resamples=100)
    assert difference == pytest.approx(scores(first)[key] - scores(second)[key])
    assert low <= difference <= high


def test_paired_difference_changes_sign_with_the_order():
    first, second = two_predictions(4)
    groups = np.arange(60) // 5
    difference, low, high = paired_bootstrap(first, second, groups)
    assert paired_bootstrap(second, first, groups) == pytest.approx((-difference, -high, -low))
    assert paired_bootstrap(first, first, groups) == (0, 0, 0)


def test_paired_difference_of_what_is_not_defined():
    empty = np.array([[0, 0, 0, 9]] * 4)
    assert all(map(math.isnan, paired_bootstrap(empty, empty, np.arange(4), resamples=50)))
    # Draws without the one occupied image do not count.
    first, second = (np.vstack([empty, [row]]) for row in ([3, 1, 1, 4], [2, 2, 2, 3]))
    assert paired_bootstrap(first, second, np.arange(5), resamples=200) == (0.25, 0.25, 0.25)
    difference, low, high = paired_bootstrap(first, second, np.zeros(5))
    assert difference == 0.25
    assert math.isnan(low)
    assert math.isnan(high)


@pytest.mark.parametrize("other", [[[4, 1, 1, 4]], [[3, 1, 1, 4]] * 2])
def test_predictions_for_other_images_are_not_paired(other):
    with pytest.raises(ValueError, match="counts of two predictions for the same images"):
        paired_bootstrap(np.array([[3, 1, 1, 4]]), np.array(other), np.arange(1))


def test_interval_of_a_mean_by_hand():
    # Two groups of equal size: draws are (a, a), (a, b), (b, a), (b, b), so the ends are the groups' own means.
    values, groups = np.array([0.0, 0.2, 0.8, 1.0]), np.array(["a", "a", "b", "b"])
    assert bootstrap_mean(values, groups) == pytest.approx((0.5, 0.1, 0.9))


def test_interval_of_a_mean_follows_the_standard_error_of_the_groups():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 5)
    values = np.repeat(random.normal(0, 1, 100), 5) + random.normal(0, 0.1, 500)
    mean, low, high = bootstrap_mean(values, groups)
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * np.std(values.reshape(100, 5).mean(1)) / 10, rel=0.1)
