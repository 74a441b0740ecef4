"""Published results in words: every number comes from the results, and the words follow the numbers."""

import pytest
from scored_nuclei import nuclei_scores

from helpers.report.words import (
    describe_masks,
    describe_stages,
    describe_tests,
    describe_training,
    headline,
    result_cell,
    result_line,
    results_page,
)


def predictor(dice, precision=0.5, recall=0.9):
    return {
        "scores": {"dice": dice, "precision": precision, "recall": recall, "n_with_nuclei": 14},
        "units": 7,
        "by_tissue": {"Colon": {}, "Lung": {}},
        "intervals": {"dice": [dice - 0.05, dice + 0.05] if dice is not None else None},
    }


@pytest.fixture
def results():
    entry = {
        "name": "some-test",
        "part": "all",
        "digest": "e1",
        "times_scored": 2,
        "predictors": {
            "model": predictor(0.65),
            "untrained": predictor(0.99),
            "otsu_haematoxylin": predictor(0.75),
            "darkest_fifth": predictor(0.70),
        },
    }
    row = {"epoch": 17, "val_dice": 0.683}
    return {
        "recipe": {"name": "report", "image_size": 128, "early_stopping_patience": 5},
        "model": {"parameters": 7_179_405, "encoder_start": "random"},
        "data": {"name": "some-set", "digest": "d1", "train_tiles": 1264, "validation_tiles": 313, "split": "groups"},
        "training": {
            "epochs": 20,
            "best_epoch": 17,
            "best": row,
            "last": {"epoch": 20, "val_dice": 0.619},
            "early_stopping_epoch": 9,
            "early_stopping_best_epoch": 4,
            "seconds": 2700.0,
        },
        "environment": {"device": "CPU"},
        "evaluations": {"some-test:0123": entry},
    }


def test_every_run_says_which_goals_it_met(results):
    results["evaluations"]["other:0"] = results["evaluations"]["some-test:0123"] | {
        "name": "monuseg-test",
        "predictors": results["evaluations"]["some-test:0123"]["predictors"] | {"model": predictor(0.815)},
    }
    strong = {
        f"strong-{size}": results | {"recipe": results["recipe"] | {"name": "strong", "image_size": size}}
        for size in (256, 128)
    }
    text = results_page({"shipped": None, "runs": {"report-128": results} | strong})
    assert "| `report-128` | 7,179,405 | `some-set` at 128 pixels; from random weights | 0.815 (0.765 to" in text
    assert "0.650 on `some-test` (n = 14 images in 7 groups) misses the report's goal of 0.80" in text
    assert "Old masks" not in text
    report, strong_256, strong_128, _, times = text.partition("## Goals\n\n")[2].splitlines()[:5]
    assert "0.815 on `monuseg-test` (n = 14 images in 7 groups) meets the report's goal of 0.80; 0.650 on" in report
    assert "meets the report's goal of 0.80 and misses this project's own of 0.83; 0.650 on" in strong_256
    assert "meets the report's goal of 0.80 and meets this project's own of 0.81; 0.650 on" in strong_128
    # The untrained network is none that it could lose to.
    assert "misses the report's goal of 0.80, and loses to Otsu on haematoxylin." in report
    assert times.endswith("by all models on this page: `some-test` 6, `monuseg-test` 6.")


def test_single_nuclei_have_a_part_of_the_page(results):
    assert "## Single nuclei" not in results_page({"shipped": None, "runs": {"first": results}})
    results["evaluations"]["some-test:0123"]["nuclei"] = nuclei_scores()
    page = results_page({"shipped": None, "runs": {"first": results}})
    assert "| `first`, some-test | 14 | 1,234 | 0.600 (0.500 to 0.700) |" in page
    assert page.index("## Single nuclei") < page.index("## Goals")


def test_the_test_fold_of_an_official_split_is_a_test_set(results):
    results["evaluations"]["some-test:0123"]["part"] = "test"
    page = results_page({"shipped": None, "runs": {"first": results}})
    assert "0.650 on the test part of `some-test` (n = 14 images in 7 groups) misses" in page
    assert "by all models on this page: `some-test` 2." in page
    assert "On the test part of `some-test`" in describe_tests(results["evaluations"])


def test_validation_counts_as_no_scoring_of_a_test_set(results):
    results["evaluations"]["some-test:0123"]["part"] = "validation"
    assert "by all models on this page: none." in results_page({"shipped": None, "runs": {"report-128": results}})


@pytest.fixture
def reported(results) -> dict:
    """The run's weights shipped and scored on new masks, beside a control that was not trained on them."""
    entry = results["evaluations"]["some-test:0123"]
    shipped = entry | {"digest": "e2", "predictors": entry["predictors"] | {"model": predictor(0.83)}}
    validation = shipped | {"part": "validation", "digest": "v2"}
    control = results | {"evaluations": {"some-test:e2": entry | {"digest": "e2"}}}
    return {
        "shipped": {"run": "best", "evaluations": {"some-test:e2": shipped, "own:v2": validation}},
        "runs": {"best": results | {"recipe": results["recipe"] | {"name": "strong"}}, "report-128": control},
    }


def test_the_result_in_one_line(reported):
    assert result_line(reported) == (
        "Dice of the shipped model on test images: **0.830** (95 % interval 0.780 to 0.880) on the 14 images of "
        "some-test (2 organs). Beside it, the course report's recipe on the same tiles: 0.650; Otsu on haematoxylin: "
        "0.750; darkest fifth of the pixels: 0.700."
    )
    first, _, caption, _, line = result_cell(reported, "attachment:a.png").splitlines()
    assert first.startswith("![")
    assert first.endswith("](attachment:a.png)")
    assert caption.startswith("**Figure 1.** ")
    assert line == result_line(reported)


def test_external_sets_are_told_apart_from_the_test_sets(reported):
    line, entry = result_line(reported), reported["shipped"]["evaluations"]["some-test:e2"]
    external = entry | {"name": "tnbc", "predictors": entry["predictors"] | {"model": predictor(0.79)}}
    reported["shipped"]["evaluations"]["tnbc:e3"] = external
    assert result_line(reported) == line
    told = "External sets, never trained on: `tnbc` 0.790 (0.740 to 0.840, n = 14)."
    assert headline(reported).endswith(f"\n\n{told}")
    assert headline(reported).count("tnbc") == 1  # no column of the table
    page = results_page(reported)
    assert "| validation (n = 14) | some-test (n = 14) | tnbc, external (n = 14) |" in page
    assert "External sets come from elsewhere" in page


def test_validation_is_not_called_a_test(reported):
    own = reported["shipped"]["evaluations"]["own:v2"]
    reported["shipped"]["evaluations"] = {"own:v2": own}
    line = result_line(reported)
    assert line.startswith("Dice of the shipped model on the validation images that it was chosen by: **0.830**")
    assert "on the same tiles: –;" in line


def test_goals_are_judged_by_the_shipped_weights_and_old_masks_are_named(reported):
    page = results_page(reported)
    assert "- `best`, from random weights: 0.830 on" in page
    assert "- `report-128`, from random weights: 0.650 on" in page
    reported["runs"]["old"] = reported["runs"]["best"]
    assert "- `old` (old masks), from random weights: 0.650 on" in results_page(reported)


def test_the_readme_shows_four_rows_and_the_page_old_masks(reported):
    assert headline(reported).count("\n| ") == 6  # the header, the rule below it, and four rows
    page = results_page(reported)
    assert page.index("| shipped model |") < page.index("## Old masks") < page.index("| `best` |")
    assert page.endswith("\n")


def test_an_explanation_on_old_masks_is_said_to_be(reported):
    assert describe_masks(reported).startswith("Measured before the masks of MoNuSeg were drawn anew")
    reported["runs"]["best"]["data"]["digest"] = "v2"
    assert describe_masks(reported) == ""


def test_a_network_below_a_classical_method_is_said_to_be(results):
    assert (
        "misses the report's goal of 0.80 with 0.650, 0.100 **below** the best without learning, Otsu"
        in describe_tests(results["evaluations"])
    )
    assert "It invents more than it misses (precision 0.500, recall 0.900)" in describe_tests(results["evaluations"])


def test_a_network_above_the_goal_is_said_to_be(results):
    results["evaluations"]["some-test:0123"]["predictors"]["model"] = predictor(0.85, precision=0.9, recall=0.8)
    text = describe_tests(results["evaluations"])
    assert "meets the report's goal of 0.80 with 0.850, 0.100 above the best without learning, Otsu" in text
    assert "It misses more than it invents" in text


def test_level_precision_and_recall_are_called_so(results):
    results["evaluations"]["some-test:0123"]["predictors"]["model"] = predictor(0.81, precision=0.815, recall=0.809)
    told = describe_tests(results["evaluations"])
    assert "It misses about as much as it invents (precision 0.815, recall 0.809)" in told


def test_stages_are_told_from_the_first(results):
    later = results | {"model": {"encoder_start": "report-128/best_model.pth"}}
    reported = {"runs": {"report-128": results, "strong": later}}
    assert describe_stages(reported, "report-128") == ""
    stage = "(128 pixels, 20 epochs, 45 minutes)"
    assert describe_stages(reported, "strong").endswith(f"the one before: `report-128` {stage}, `strong` {stage}.")


def test_an_undefined_dice_is_a_dash_and_not_an_error(results):
    for name in ("darkest_fifth", "otsu_haematoxylin"):
        results["evaluations"]["some-test:0123"]["predictors"][name] = predictor(None)
    assert "0.650 above" in describe_tests(results["evaluations"])


def test_training_tells_both_endings(results):
    text = describe_training(results)
    assert "Best epoch: 17 of 20, validation Dice 0.683 (tile by tile at the network's size); last epoch: 0.619" in text
    assert "patience of 5 would have ended the run after epoch 9 and kept epoch 4" in text
    assert "45 minutes on CPU" in text


def test_training_without_early_stopping_says_so(results):
    results["training"]["early_stopping_epoch"] = None
    assert "stopping with a patience of 5 would not have ended these 20 epochs sooner" in describe_training(results)


def test_the_encoder_start_is_told(results):
    assert "Start: random weights" in describe_training(results)
    results["model"]["encoder_start"] = "imagenet"
    assert "Start: an ImageNet encoder" in describe_training(results)


def test_a_run_that_bears_the_name_of_its_start_is_told_once(results):
    tuned = results | {"model": results["model"] | {"encoder_start": "tuned/best_model.pth"}}
    assert describe_stages({"runs": {"tuned": tuned}}, "tuned") == ""


def test_a_goal_missed_by_a_hair_does_not_read_as_met(results):
    entry = results["evaluations"]["some-test:0123"]
    entry["predictors"]["model"] = predictor(0.7996)
    text = results_page({"shipped": None, "runs": {"report-128": results}})
    assert "0.7996 on `some-test` (n = 14 images in 7 groups) misses the report's goal of 0.80" in text
