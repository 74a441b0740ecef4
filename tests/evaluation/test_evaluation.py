"""Scores on whole images: of the right tiles, beside the right truth, under the right name."""

import functools
import json
import math
import re
import shutil

import numpy as np
import pytest
import torch
from folds import empty_masks, example_images, example_masks, write_fold
from tiny_run import RECIPE, FinishedRun, change_results, make_cache, read_results

from helpers.config import LABEL_RULES
from helpers.data.fold import find_folds
from helpers.data.prepare import prepare
from helpers.data.stitching import SourceImage, source_images, stitch
from helpers.errors import InputError, InputWarning
from helpers.evaluation import evaluation, subject
from helpers.evaluation.baselines import BASELINES
from helpers.evaluation.evaluation import evaluate, score_by_nuclei, summarize, untrained_model
from helpers.evaluation.fill_rules import FILL_RULES
from helpers.inference import segmentation
from helpers.inference.predict import predict
from helpers.inference.trained_model import TrainedModel
from helpers.metrics import COUNT_NAMES, bootstrap_interval, count_pixels, scores
from helpers.model import EfficientNetSegmentation
from helpers.sample_tissue.sample import write_sample_fold
from helpers.training.checkpoints import load_checkpoint

PREDICTORS = {"model", "untrained", *BASELINES}


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of the finished run; removed at once, for pytest would keep it."""
    yield finished_run.copy(tmp_path / "run")
    shutil.rmtree(tmp_path)


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr(evaluation, "bootstrap_interval", functools.partial(bootstrap_interval, resamples=20))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Five other slides, of five tissues, one tile of them void and one empty."""
    folder = tmp_path_factory.mktemp("other")
    yield write_sample_fold(folder / "elsewhere", num_tiles=20, seed=1, dtype="uint8")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """The first of these slides alone."""
    folder = tmp_path_factory.mktemp("few")
    yield write_sample_fold(folder / "few", num_tiles=4, seed=1, dtype="uint8")
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def scored(finished_run, other, tmp_path_factory) -> dict:
    """The run on the other slides."""
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "bootstrap_interval", functools.partial(bootstrap_interval, resamples=20))
        yield evaluate(finished_run.copy(folder / "run"), other, torch.device("cpu"))
    shutil.rmtree(folder)


def whole_numbers(counts: list[dict]) -> np.ndarray:
    return np.array([[row[name] for name in COUNT_NAMES] for row in counts])


# Which tiles.


def test_own_data_set_gives_its_validation_part(run, finished_run: FinishedRun):
    entry = evaluate(run, finished_run.dataset)
    data = read_results(run)["data"]
    assert (entry["part"], entry["name"], entry["digest"]) == ("validation", "slides", data["digest"])
    assert entry["tiles"] == len(data["validation_indices"]) == 4
    assert [row["name"] for row in entry["images"]] == data["validation_groups"]
    assert entry["predictors"]["model"]["units"] == 1


def test_another_data_set_gives_the_whole(scored, other):
    assert (scored["part"], scored["tiles"], scored["name"]) == ("all", 20, "elsewhere")
    assert scored["digest"] == prepare(other, 64, progress=False).digest
    assert [row["name"] for row in scored["images"]] == [f"sample-1-{slide:03d}" for slide in range(5)]
    assert [row["tissue"] for row in scored["images"]] == np.load(other / "Images/types.npy")[::4].tolist()
    assert scored["void_tiles"] == 1


def test_tiles_that_the_run_was_trained_on_are_refused(run, finished_run: FinishedRun, tmp_path):
    validation = set(read_results(run)["data"]["validation_indices"])
    trained = [tile for tile in range(24) if tile not in validation and tile != 11][:3]  # 11 is empty, perhaps glass
    known = np.load(finished_run.dataset / "Images/images.npy")[trained]
    mixed = write_fold(tmp_path / "mixed", np.concatenate([example_images(2), known]), example_masks(5))
    before = read_results(run)
    with pytest.raises(InputError, match=r"mixed: \S*run was trained on 3 of these 5 tiles"):
        evaluate(run, mixed)
    assert read_results(run) == before


@pytest.mark.filterwarnings("ignore:.*the colours are not those")  # random ones
def test_validation_tiles_in_another_data_set_are_none_that_it_was_trained_on(run, finished_run, tmp_path):
    validation = read_results(run)["data"]["validation_indices"][:1]
    known = np.load(finished_run.dataset / "Images/images.npy")[validation]
    mixed = write_fold(tmp_path / "mixed", np.concatenate([example_images(1), known]), example_masks(2))
    assert evaluate(run, mixed)["tiles"] == 2


@pytest.mark.filterwarnings("ignore:.*the colours are not those")  # random ones
def test_glass_may_be_seen_again(run, tmp_path, monkeypatch):
    images = example_images(2)
    images[1] = 243
    folder = write_fold(tmp_path / "glass", images, example_masks(2))
    digests = prepare(folder, 64, progress=False).tile_digests.tolist()

    def trained_on(tiles):
        def load(path):
            model, checkpoint = load_checkpoint(path)
            return model, checkpoint | {"training_tiles": tiles}

        return load

    load_checkpoint = subject.load_checkpoint
    monkeypatch.setattr(subject, "load_checkpoint", trained_on(digests[1:]))
    assert evaluate(run, folder)["tiles"] == 2
    monkeypatch.setattr(subject, "load_checkpoint", trained_on(digests))
    with pytest.raises(InputError, match="1 of these 2 tiles"):
        evaluate(run, folder)


# What is counted.


def perfect(dataset):
    """Stand in for `predict_maps`: knows the truth of every image of a data set."""
    (fold,) = find_folds(dataset)
    tiles = fold.read(0, len(fold))
    truth = {}
    for source in source_images(np.arange(len(fold)), fold.tissues, fold.groups, fold.positions):
        image, mask = (stitch(of[source.indices], source.positions) for of in (tiles.images, tiles.class_maps > 0))
        truth[np.rint(image).astype(np.uint8).tobytes()] = mask >= 0.5

    def maps(model, image, um_per_px, device, symmetries, wanted):
        known = truth[image.tobytes()]
        return {"nuclei": np.where(known, 1.0, -1.0)[None].astype(np.float32)}, np.zeros(known.shape, bool)

    return maps


def test_perfect_predictions_score_one(run, other, monkeypatch):
    monkeypatch.setattr(segmentation, "predict_maps", perfect(other))
    predictors = evaluate(run, other)["predictors"]
    for name in ("model", "untrained"):
        found = predictors[name]["scores"]
        assert {value for key, value in found.items() if key not in ("n", "n_with_nuclei")} == {1.0}
        assert predictors[name]["intervals"]["dice"] == (1.0, 1.0)
    for name in BASELINES:
        assert 0.1 < predictors[name]["scores"]["dice"] < 1


def test_probabilities_are_stitched_at_full_size(scored):
    counts = whole_numbers(scored["images"])
    assert counts.sum(1).tolist() == [512 * 512] * 5


def test_truth_is_that_of_the_full_size_masks(scored, other):
    masks = np.load(other / "Masks/masks.npy")[..., :5].max(-1) > 0
    counts = whole_numbers(scored["images"])
    np.testing.assert_array_equal(counts[:, 0] + counts[:, 2], masks.reshape(5, -1).sum(1))


def test_scores_can_be_computed_again_from_the_counts(scored):
    assert scores(whole_numbers(scored["images"])) == scored["predictors"]["model"]["scores"]


def test_every_predictor_has_scores_intervals_and_tissues(scored):
    assert set(scored["predictors"]) == PREDICTORS
    for predictor in scored["predictors"].values():
        assert (predictor["scores"]["n"], predictor["units"], len(predictor["by_tissue"])) == (5, 5, 5)
        low, high = predictor["intervals"]["dice"]
        assert 0 <= low <= predictor["scores"]["dice"] <= high <= 1
        assert predictor["scores_without_void"] is None  # a void tile is a part of a larger image
        for tissue in predictor["by_tissue"].values():
            assert (tissue["n"], tissue["interval"]) == (1, None)


def test_without_groups_every_tile_is_an_image(run, other, tmp_path):
    folder = shutil.copytree(other, tmp_path / "loose")
    for name in ("groups", "positions"):
        (folder / f"Images/{name}.npy").unlink()
    entry = evaluate(run, folder)
    assert [row["name"] for row in entry["images"]] == [f"tile {number}" for number in range(20)]
    assert whole_numbers(entry["images"]).sum(1).tolist() == [256 * 256] * 20
    model = entry["predictors"]["model"]
    assert (model["units"], model["scores"]["n"], model["scores_without_void"]["n"]) == (20, 20, 19)
    assert model["scores"]["n_with_nuclei"] == 18  # one is void, one empty


def test_images_with_red_and_blue_swapped_are_said_to_mean_nothing(run, other, tmp_path):
    swapped = tmp_path / "swapped"
    shutil.copytree(other, swapped, ignore=shutil.ignore_patterns(".*"))
    images = np.load(swapped / "Images/images.npy")
    np.save(swapped / "Images/images.npy", np.ascontiguousarray(images[..., ::-1]))
    with pytest.warns(
        InputWarning, match=r"^swapped: of \d of 5 images, such as sample-1-00\d, red and blue seem"
    ) as told:
        evaluate(run, swapped)
    assert len(told) == 1
    assert told[0].filename == __file__


def test_perfect_labels_at_the_network_size(scored):
    dice = scored["perfect_labels_dice"]
    assert set(dice) == set(LABEL_RULES)
    assert 0.5 < dice["nearest"] < dice["majority"] < 1  # one pixel of 64 is four of 256


# The summary, by hand.


def image(name: str, tissue: str, *indices: int) -> SourceImage:
    return SourceImage(name, tissue, np.array(indices), np.zeros((len(indices), 2), int), (256, 256))


COUNTS = np.array([[10, 0, 0, 90], [5, 5, 5, 85], [0, 0, 10, 90], [0, 4, 0, 96], [0, 0, 0, 100], [9, 2, 0, 89]])


def test_summary_by_tissue():
    names = ["Colon", "Breast", "Colon", "Breast", "Skin", "Colon"]
    cache = make_cache([[1, 0, 0, 0, 0]] * 6, names)
    images = [image(f"tile {number}", name, number) for number, name in enumerate(names)]
    found = summarize(COUNTS, images, cache)
    assert found["scores"] == pytest.approx(scores(COUNTS))
    assert found["scores_without_void"] is None
    assert found["units"] == 6
    by_tissue = found["by_tissue"]
    assert {name: (part["n"], part["n_with_nuclei"]) for name, part in by_tissue.items()} == {
        "Breast": (2, 1),
        "Colon": (3, 3),
        "Skin": (1, 0),
    }
    assert by_tissue["Colon"]["dice"] == pytest.approx((1 + 0 + 0.9) / 3)
    assert by_tissue["Breast"]["dice"] == 0.5
    assert math.isnan(by_tissue["Skin"]["dice"])
    assert by_tissue["Colon"]["interval"] is None


@pytest.mark.parametrize("sources", [4, 5])
def test_interval_needs_five_source_images(sources):
    groups = [f"slide {number % sources}" for number in range(6)]
    cache = make_cache([[1, 0, 0, 0, 0]] * 6, ["Colon"] * 6, groups=groups)
    found = summarize(COUNTS, [image(f"tile {number}", "Colon", number) for number in range(6)], cache)
    assert found["units"] == sources
    intervals = [*found["intervals"].values(), found["by_tissue"]["Colon"]["interval"]]
    assert [interval is None for interval in intervals] == [sources < 5] * 8
    if sources == 5:
        low, high = found["intervals"]["dice"]
        assert 0 <= low < high <= 1


def test_summary_without_void_images():
    cache = make_cache([[0] * 5] * 6, ["Colon"] * 6, void=[False, False, True, True, False, True])
    # The second image is only partly void, so it stays; the third is wholly.
    images = [image("a", "Colon", 0), image("b", "Colon", 1, 2), image("c", "Colon", 3, 5), image("d", "Colon", 4)]
    found = summarize(COUNTS[:4], images, cache)
    assert found["scores_without_void"] == pytest.approx(scores(COUNTS[[0, 1, 3]]))
    assert (found["scores"]["n"], found["scores_without_void"]["n"]) == (4, 3)


def test_by_number_of_nuclei():
    found = score_by_nuclei(COUNTS, np.array([1, 3, 4, 0, 0, 200]))
    assert {name: row["n"] for name, row in found.items()} == {"0": 2, "1-3": 2, "4-10": 1, "31 or more": 1}
    assert found["1-3"] == scores(COUNTS[:2])
    assert found["31 or more"]["dice"] == pytest.approx(0.9)


def test_tiles_by_number_of_nuclei_are_all_tiles(scored):
    assert sum(row["n"] for row in scored["by_nuclei"].values()) == scored["tiles"]
    for name, row in scored["by_nuclei"].items():
        assert row["n_with_nuclei"] == (0 if name == "0" else row["n"])


def test_averaging_is_a_predictor_of_its_own(run, other, monkeypatch):
    truth = perfect(other)

    def maps(model, image, um_per_px, device, symmetries, wanted):
        known, outside = truth(model, image, um_per_px, device, symmetries, wanted)
        return (known if len(symmetries) == 8 else {"nuclei": -np.abs(known["nuclei"])}), outside

    monkeypatch.setattr(segmentation, "predict_maps", maps)
    predictors = evaluate(run, other, flips_and_turns=True)["predictors"]
    assert predictors["averaged"]["scores"]["dice"] == 1
    assert predictors["model"]["scores"]["dice"] == predictors["untrained"]["scores"]["dice"] == 0


# The untrained network.


def test_untrained_network_is_what_the_run_started_from():
    torch.manual_seed(RECIPE.seed)
    expected = EfficientNetSegmentation(64, dropout=RECIPE.dropout).state_dict()
    model = untrained_model(RECIPE)
    assert (model.img_size, model.dropout.p, model.training) == (64, RECIPE.dropout, False)
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_untrained_network_leaves_the_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    untrained_model(RECIPE)
    assert torch.equal(torch.rand(3), expected)


# The record.


def read_json_of(entry: dict) -> dict:
    """Give an entry as a file holds it: null for what is not defined."""
    return json.loads(re.sub(r"\bNaN\b", "null", json.dumps(entry)))


def test_entry_is_added_under_name_and_digest_and_scorings_are_counted(run, finished_run, few):
    first = evaluate(run, finished_run.dataset)
    elsewhere = evaluate(run, few)
    second = evaluate(run, finished_run.dataset)
    assert (first["times_scored"], second["times_scored"], elsewhere["times_scored"]) == (1, 2, 1)
    evaluations = read_results(run)["evaluations"]
    assert list(evaluations) == [f"{entry['name']}:{entry['digest'][:12]}" for entry in (elsewhere, second)]
    assert evaluations[f"slides:{first['digest'][:12]}"] == read_json_of(second)
    assert first["predictors"] == second["predictors"]


def test_rules_that_were_measured_stay_when_it_is_scored_again(run, few, tmp_path):
    names = [row["name"] for row in evaluate(run, few)["images"]]
    path = tmp_path / "outlines.json"
    path.write_text(json.dumps({name: [[[8, 8], [40, 8], [40, 40]]] for name in names}))
    rules = evaluate(run, few, outlines=path)["fill_rules"]
    assert list(rules) == list(FILL_RULES)
    assert rules["OpenCV's fillPoly"]["scores"]["n"] == len(names)
    assert read_json_of(evaluate(run, few)["fill_rules"]) == read_json_of(rules)


def test_scorings_count_on_when_the_folder_is_renamed(run, few):
    evaluate(run, few)
    renamed = few.rename(few.with_name("renamed"))
    try:
        assert evaluate(run, renamed)["times_scored"] == 2
    finally:
        renamed.rename(few)
    assert [entry["name"] for entry in read_results(run)["evaluations"].values()] == ["renamed"]


def test_nothing_else_in_the_results_changes(run, finished_run):
    before = read_results(run)
    evaluate(run, finished_run.dataset)
    assert read_results(run) | {"evaluations": {}} == before


@pytest.mark.filterwarnings("ignore:.*the colours are not those")  # random ones
def test_what_is_not_defined_is_null_in_the_file(run, tmp_path):
    folder = write_fold(tmp_path / "empty", example_images(2), empty_masks(2))
    entry = evaluate(run, folder)
    assert math.isnan(entry["predictors"]["model"]["scores"]["dice"])
    (kept,) = read_results(run)["evaluations"].values()
    assert kept["predictors"]["model"]["scores"]["dice"] is None
    assert kept["predictors"]["model"]["scores"]["n_with_nuclei"] == 0
    assert "NaN" not in (run / "results.json").read_text(encoding="utf-8")


def test_unfinished_run_is_refused(run, finished_run):
    change_results(run, training={"status": "running", "epochs": 1})
    with pytest.raises(InputError, match=r"run: expected a finished run, found one after 1 epochs"):
        evaluate(run, finished_run.dataset)


def test_folder_without_a_run_is_refused(finished_run, tmp_path):
    with pytest.raises(InputError, match="expected the folder of a finished run, found none in it"):
        evaluate(tmp_path, finished_run.dataset)


def test_the_score_is_of_what_predict_gives(scored, finished_run, other):
    (fold,) = find_folds(other)
    tiles = fold.read(0, 4)
    network, about = load_checkpoint(finished_run.folder / "best_model.pth")
    model = TrainedModel(network, about["um_per_px"])
    image = np.rint(stitch(tiles.images, fold.positions[:4])).astype(np.uint8)
    truth = stitch(tiles.class_maps > 0, fold.positions[:4]) >= 0.5
    expected = count_pixels(predict(image, 0.25, model).mask[None], truth[None])
    np.testing.assert_array_equal(whole_numbers(scored["images"][:1]), expected)
