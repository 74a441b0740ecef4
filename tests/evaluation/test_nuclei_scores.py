"""Scores of single nuclei, worked by hand on label maps of a few squares; and a real pass over sample tissue."""

import shutil

import numpy as np
import pytest
import torch
from tiny_run import read_results

from helpers.config import CLASS_NAMES
from helpers.data.fold import find_folds
from helpers.evaluation import subject
from helpers.evaluation.evaluation import evaluate
from helpers.evaluation.nuclei_scores import (
    Kinds,
    match_kinds,
    row_of,
    score_nuclei,
    summarize_kinds,
    summarize_nuclei,
)
from helpers.inference import segmentation
from helpers.inference.instances import list_nuclei
from helpers.inference.segmentation import Segmentation
from helpers.networks import build_own_network
from helpers.sample_tissue.sample import write_sample_fold

CONSEP = ("Untyped", "Inflammatory", "Connective", "Other", "Epithelial")
MODEL = CONSEP[1:]
MONUSAC = ("Epithelial", "Lymphocyte", "Macrophage", "Neutrophil", "unused")


def squares(*places: tuple[int, int, int]) -> np.ndarray:
    """Give `(60, 120)` int64 with squares of 10 pixels: number, row and column of each."""
    labels = np.zeros((60, 120), np.int64)
    for number, row, column in places:
        labels[row : row + 10, column : column + 10] = number
    return labels


def number(channel: int, which: int = 1) -> int:
    """Give the number of a true nucleus in a class channel, as `Tiles.instances` holds it."""
    return 5 * which + channel


def found(labels: np.ndarray, *kinds: str) -> Segmentation:
    """Give what `segment` gives, of nuclei numbered from 1."""
    mask = labels > 0
    nuclei = list_nuclei(labels.astype(np.int32), mask.astype(np.float32), None, (), 0.25)
    nuclei["kind"] = kinds
    return Segmentation(mask.astype(np.float32), mask, labels.astype(np.int32), nuclei, 0.25, 1.0)


# Kinds by name.


def test_the_kinds_of_monusac():
    kinds = match_kinds(MONUSAC, MODEL)
    assert kinds.names == (*MODEL, "Macrophage", "Neutrophil", "unused")
    assert kinds.told == 4
    assert kinds.of_channel.tolist() == [3, 0, 4, 5, 6]
    assert kinds.of_model == {"Inflammatory": 0, "Connective": 1, "Other": 2, "Epithelial": 3}


def test_the_kinds_of_pannuke():
    kinds = match_kinds(CLASS_NAMES, MODEL)
    assert kinds.names == (*MODEL, "Dead")
    assert kinds.of_channel.tolist() == [3, 0, 1, 4, 3]


def test_a_name_that_both_have_is_not_translated():
    kinds = match_kinds(CLASS_NAMES, CLASS_NAMES)
    assert (kinds.names, kinds.of_channel.tolist()) == (CLASS_NAMES, [0, 1, 2, 3, 4])


def test_a_model_that_parts_epithelium_is_judged_by_a_set_that_does_not():
    kinds = match_kinds(CONSEP, CLASS_NAMES)
    assert kinds.of_model == {"Neoplastic": 0, "Inflammatory": 1, "Connective": 2, "Dead": 3, "Epithelial": 0}
    assert kinds.names == ("Epithelial", "Inflammatory", "Connective", "Dead", "Other")
    assert kinds.of_channel.tolist() == [-1, 1, 2, 4, 0]


def test_names_are_matched_whatever_their_case():
    kinds = match_kinds(("lymphocyte", "epithelial", "a", "b", "c"), ("Inflammatory", "Epithelial"))
    assert kinds.of_channel.tolist() == [0, 1, 2, 3, 4]
    assert match_kinds(CLASS_NAMES, ()) is None


# One image by hand.


def test_one_image():
    # One exact, one moved by 5 pixels (IoU 1/3, centroids 5 apart), one missed, one invented.
    truth = squares((number(1), 0, 0), (number(4), 0, 50), (number(2), 0, 100))
    image = score_nuclei(found(squares((1, 0, 0), (2, 0, 55), (3, 40, 60)), "", "", ""), truth)
    assert image.table is None
    assert image.kind_pq is None
    scores = image.scores
    assert (scores.pq, scores.dq, scores.sq) == pytest.approx((1 / 3, 1 / 3, 1))
    # Shared pixels 100 + 50; unions 100 + 150, with 100 missed and 100 invented.
    assert scores.aji == pytest.approx(150 / 450)
    assert row_of(image) == {
        **{"pq": pytest.approx(1 / 3), "aji": pytest.approx(1 / 3)},
        **{"nuclei_true": 3, "nuclei_predicted": 3, "nuclei_detected": 2},
    }
    assert row_of(None) == {}


def test_kinds_of_one_image():
    kinds = match_kinds(MONUSAC, MODEL)
    truth = squares((number(0), 0, 0), (number(1), 0, 50), (number(2), 0, 100), (number(1, 2), 40, 0))
    # Epithelial as such, a lymphocyte as epithelial, a macrophage as inflammatory, another lymphocyte missed; and one
    # of connective tissue, which is not annotated.
    told = ("Epithelial", "Epithelial", "Inflammatory", "Connective")
    image = score_nuclei(found(squares((1, 0, 0), (2, 0, 50), (3, 0, 100), (4, 40, 60)), *told), truth, kinds)
    expected = np.zeros((8, 8), int)
    inflammatory, connective, _, epithelial, macrophage, _, _, nothing = range(8)
    for true, predicted in (
        *((epithelial, epithelial), (inflammatory, epithelial), (macrophage, inflammatory)),
        *((inflammatory, nothing), (nothing, connective)),
    ):
        expected[true, predicted] += 1
    assert image.table.tolist() == expected.tolist()
    # Epithelial: one true, two predicted, one pair of IoU 1: 2 / 3. Where no nucleus of the kind is, nothing.
    np.testing.assert_allclose(image.kind_pq, [0, np.nan, np.nan, 2 / 3, 0, np.nan, np.nan])


def test_nuclei_without_a_kind_are_left_out_with_what_found_them():
    kinds = match_kinds(CONSEP, MODEL)
    truth = squares((number(0), 0, 0), (number(4), 0, 50))
    image = score_nuclei(found(squares((1, 0, 0), (2, 0, 50)), "Other", "Epithelial"), truth, kinds)
    assert image.table.sum() == image.table[3, 3] == 1
    assert image.scores.pq == 1


def test_kinds_over_images():
    kinds = Kinds(("A", "B", "C"), 2, np.array([0, 1, 2, -1, -1]), {"A": 0, "B": 1})
    # Rows are true: A three times right, once as B, once missed; B twice right; C once as A; one A invented.
    first = np.array([[3, 1, 0, 1], [0, 2, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])
    second = np.array([[1, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    result = summarize_kinds(np.array([first, second]), np.array(["a", "b"]), kinds)
    assert result["confusion"] == (first + second).tolist()
    assert (result["names"], result["images"], result["judged"]) == (["A", "B", "C"], 2, ["A", "B"])
    a, b, c = result["rows"]
    assert (a["true"], a["predicted"], a["paired"], a["told"]) == (6, 8, 5, True)
    # 2 * 4 / (2 * 4 + 2 * 1 (A as B) + 2 * 3 (others as A) + 1 missed + 1 invented)
    assert a["f1"] == pytest.approx(8 / 18)
    assert (a["precision"], a["recall"], a["named_rightly"]) == (4 / 8, 4 / 6, 4 / 5)
    assert (b["f1"], b["named_rightly"]) == (pytest.approx(4 / (4 + 2 * 3)), 2 / 4)
    assert (c["f1"], c["told"], c["precision"], c["recall"]) == (0, False, None, 0)
    assert result["balanced_accuracy"] == pytest.approx((4 / 5 + 2 / 4) / 2)
    assert a["interval"] is None


def test_intervals_of_kinds_need_five_source_images_and_hold_the_value():
    kinds = Kinds(("A",), 1, np.array([0] * 5), {"A": 0})
    tables = np.array([[[hits, 10 - hits], [hits % 3, 0]] for hits in (4, 5, 6, 7, 8)])
    (row,) = summarize_kinds(tables, np.array(list("abcde")), kinds)["rows"]
    low, high = row["interval"]
    assert low < row["f1"] < high
    assert row["named_interval"] == (1, 1)  # of those that were found


def test_interval_of_the_balanced_accuracy():
    kinds = Kinds(("A", "B"), 2, np.array([0, 1, -1, -1, -1]), {"A": 0, "B": 1})
    always = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])  # 3 / 4 and 1 in each image, so in each draw
    result = summarize_kinds(np.array([always] * 5), np.array(list("abcde")), kinds)
    assert (result["balanced_accuracy"], result["balanced_interval"]) == (7 / 8, (7 / 8, 7 / 8))
    worse = np.array([[1, 3, 0], [0, 4, 0], [0, 0, 0]])
    result = summarize_kinds(np.array([always, worse, always, worse, always]), np.array(list("abcde")), kinds)
    low, high = result["balanced_interval"]
    assert 5 / 8 <= low < result["balanced_accuracy"] < high <= 7 / 8
    of_two = summarize_kinds(np.array([always] * 5), np.array(list("aabbb")), kinds)
    assert of_two["balanced_interval"] is None


# Many images.


def test_summary_over_images():
    truth = squares((number(0), 0, 0), (number(1), 0, 50))
    kinds = match_kinds(MONUSAC, MODEL)
    right = score_nuclei(found(squares((1, 0, 0), (2, 0, 50)), "Epithelial", "Inflammatory"), truth, kinds)
    half = score_nuclei(found(squares((1, 0, 0)), "Other"), truth, None)
    empty = score_nuclei(found(squares()), squares(), kinds)
    tissues, units = np.array(["Colon", "Colon", "Lung", "Lung"]), np.array(list("abcd"))
    result = summarize_nuclei([right, half, empty, None], tissues, units, kinds)
    scores = result["scores"]
    assert (scores["n"], scores["n_both_empty"], scores["n_counted"], scores["n_mpq"]) == (3, 1, 2, 1)
    assert scores["pq"] == scores["bpq"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores["mpq"] == 1
    assert scores["detection_f1"] == pytest.approx(6 / 7)
    assert (result["true"], result["predicted"], result["units"]) == (4, 3, 3)
    assert set(result["intervals"].values()) == {None}
    assert result["kinds"]["images"] == 2
    assert [row["name"] for row in result["kinds"]["rows"]] == ["Inflammatory", "Epithelial"]


def test_intervals_are_drawn_by_source_image():
    truth = squares((number(0), 0, 0), (number(1), 0, 50))
    whole = score_nuclei(found(squares((1, 0, 0), (2, 0, 50)), "", ""), truth)
    half = score_nuclei(found(squares((1, 0, 0)), ""), truth)
    images, tissues = [whole, half] * 3, np.array(["Colon"] * 6)
    result = summarize_nuclei(images, tissues, np.array(list("abcdef")))
    for name, value in (("pq", 5 / 6), ("aji", 3 / 4), ("detection_f1", 18 / 21)):
        low, high = result["intervals"][name]
        assert low < value < high
        assert result["scores"][name] == pytest.approx(value)
    assert result["kinds"] is None
    of_four = summarize_nuclei(images, tissues, np.array(list("abcdaa")))
    assert (of_four["units"], set(of_four["intervals"].values())) == (4, {None})


def test_without_nuclei_told_apart_there_is_nothing():
    assert summarize_nuclei([None, None], np.array(["a", "b"]), np.array(["a", "b"])) is None


# The whole way, over sample tissue.


@pytest.fixture
def slides(tmp_path):
    yield write_sample_fold(tmp_path / "slides", num_tiles=8, seed=4, dtype="uint8")
    shutil.rmtree(tmp_path)


def truth_in_maps(slides, kinds: tuple[str, ...]):
    """Stand in for `predict_maps`: nuclei, interiors and kinds of whole slides, as the fold has them."""
    (fold,) = find_folds(slides)
    tiles = fold.read(0, len(fold))

    def maps(model, image, um_per_px, device, symmetries, wanted):
        for first in range(0, len(fold), 4):
            rows = [np.concatenate(tiles.images[first + place : first + place + 2], axis=1) for place in (0, 2)]
            if np.array_equal(np.concatenate(rows), image):
                break
        numbers, classes = (
            np.concatenate([np.concatenate(of[first + place : first + place + 2], axis=1) for place in (0, 2)])
            for of in (tiles.instances, tiles.class_maps)
        )
        inside = numbers > 0
        for axis in (0, 1):
            for step in (1, -1):
                inside &= np.roll(numbers, step, axis) == numbers
        logits = np.where(np.stack([numbers > 0, inside]), 8.0, -8.0).astype(np.float32)
        result = {"nuclei": logits[:1], "interior": logits[1:]}
        if kinds:
            result["kinds"] = np.stack([np.where(classes == 1 + CLASS_NAMES.index(kind), 4.0, 0.0) for kind in kinds])
        return result, np.zeros(numbers.shape, bool)

    return maps


def test_the_truth_in_the_networks_place_is_told_apart_and_named(slides, finished_run, tmp_path, monkeypatch):
    network = build_own_network("lite0", ("nuclei", "kinds", "interior"), CLASS_NAMES, img_size=64).eval()
    loaded = subject.load_checkpoint
    monkeypatch.setattr(subject, "load_checkpoint", lambda path: (network, loaded(path)[1]))
    monkeypatch.setattr(segmentation, "predict_maps", truth_in_maps(slides, CLASS_NAMES))
    run = finished_run.copy(tmp_path / "run")
    entry = evaluate(run, slides, torch.device("cpu"))
    nuclei = entry["nuclei"]
    masks = np.load(slides / "Masks/masks.npy").reshape(2, 4, -1, 6)
    there = [len(np.unique(slide[..., channel])) - 1 for slide in masks for channel in range(5)]
    assert nuclei["true"] == sum(there) > 50
    assert nuclei["scores"]["pq"] > 0.9  # nuclei whose interior is too small to be a core are lost or joined
    assert nuclei["scores"]["detection_f1"] > 0.95
    assert nuclei["kinds"]["names"] == list(CLASS_NAMES)
    by_kind = {row["name"]: row for row in nuclei["kinds"]["rows"]}
    for channel, name in enumerate(CLASS_NAMES):
        assert by_kind.get(name, {"true": 0})["true"] == there[channel] + there[channel + 5]
    assert nuclei["kinds"]["balanced_accuracy"] > 0.95
    (kept,) = read_results(run)["evaluations"].values()
    assert kept["nuclei"]["scores"]["pq"] == nuclei["scores"]["pq"]
    assert sum(row["nuclei_true"] for row in kept["images"]) == nuclei["true"]
    assert entry["predictors"]["model"]["scores"]["dice"] == 1


def test_a_network_of_nuclei_alone_has_no_kinds_and_old_folds_may_know_nothing(slides, finished_run, tmp_path):
    np.save(slides / "Images/annotated.npy", np.array([[True, True]] * 4 + [[True, False]] * 4))
    entry = evaluate(finished_run.copy(tmp_path / "run"), slides, torch.device("cpu"))
    assert entry["nuclei"]["kinds"] is None
    assert entry["nuclei"]["scores"]["n"] == 1
    assert ["pq" in row for row in entry["images"]] == [True, False]
    assert entry["images"][0]["nuclei_true"] == entry["nuclei"]["true"]
    np.save(slides / "Images/annotated.npy", np.zeros((8, 2), bool))
    assert evaluate(tmp_path / "run", slides, torch.device("cpu"))["nuclei"] is None
