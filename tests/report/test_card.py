"""The model card: every number from the results, and what a reader must be told."""

from dataclasses import replace

import pytest
from tiny_run import read_results

from helpers.__main__ import HANDLERS
from helpers.arguments import read_arguments
from helpers.config import RECIPES
from helpers.evaluation.evaluation import evaluate
from helpers.report.card import CARD, TRAINING_FLAGS, TRAINING_OPTIONS, model_card, training_command
from helpers.training.control import control_recipe


@pytest.fixture
def reported(finished_run, tmp_path) -> dict:
    """A shipped run whose validation part has been scored."""
    run = finished_run.copy(tmp_path / "run")
    evaluate(run, finished_run.dataset)
    results = read_results(run)
    shipped = {"run": "run", "file": "weights.safetensors", "digest": "abc123", "evaluations": results["evaluations"]}
    return {"shipped": shipped, "runs": {"run": results}}


def test_numbers_follow_the_results(reported):
    card, run = model_card(reported), reported["runs"]["run"]
    assert CARD.endswith(".md")
    for text in (
        "weights.safetensors",
        "weights.onnx",
        "weights_int8.onnx",
        "abc123",
        run["data"]["digest"],
        "7,179,405 parameters",
        "1.00 um/px",
    ):
        assert text in card
    assert f"{run['data']['train_tiles']} tiles of 256 pixels" in card
    (entry,) = run["evaluations"].values()
    dice = entry["predictors"]["model"]["scores"]["dice"]
    assert f"{dice:.3f} (" in card
    run["recipe"]["image_size"] = 256
    assert "0.25 um/px in tiles of 256 pixels" in model_card(reported)


def test_what_the_network_tells_and_its_single_nuclei(reported):
    card, run = model_card(reported), reported["runs"]["run"]
    assert "Output: the probability of nucleus for each pixel, no kinds; nuclei that touch are not separated." in card
    assert card.index("## Single nuclei") < card.index("## Limits")
    assert "| shipped model, validation | 1 | " in card
    run["recipe"]["outputs"], run["data"]["kinds"] = ["nuclei", "kinds", "interior"], ["Epithelial", "Other"]
    (entry,) = reported["shipped"]["evaluations"].values()
    del entry["nuclei"]  # as old results have none
    card = model_card(reported)
    assert "each pixel, kinds of nuclei (Epithelial, Other); nuclei that touch are parted." in card
    assert "## Single nuclei" not in card


def test_sets_licence_and_limits_are_named(reported):
    reported["runs"]["run"]["data"]["name"] = "nuinsseg-monuseg-consep"
    card = model_card(reported)
    for text in ("NuInsSeg", "MoNuSeg", "CoNSeP", "CC BY-NC-SA 4.0", "Not for diagnosis", "## Limits"):
        assert text in card


def test_what_external_sets_cost_is_told_where_it_was_measured(reported):
    assert "How much worse was not measured." in model_card(reported)
    entries = reported["shipped"]["evaluations"]
    entries["tnbc:1"] = next(iter(entries.values())) | {"name": "tnbc", "part": "all"}
    card = model_card(reported)
    assert "How much worse was not measured." not in card
    assert "  External sets, never trained on: `tnbc` 0." in card


def test_of_other_data_no_source_and_no_licence_is_made_up(reported):
    card = model_card(reported)
    assert "The data set `slides`, whatever whoever made it says of it:" in card
    assert "NuInsSeg" not in card
    assert "CC BY-NC-SA" not in card


def test_an_explanation_is_told(reported, explained_run):
    assert "What its uncertainty" not in model_card(reported)
    explanation = read_results(explained_run)["explanation"]
    reported["runs"]["run"]["explanation"] = explanation
    card = model_card(reported)
    assert f"On {explanation['tiles']} validation tiles of {explanation['groups']} groups" in card
    assert f"| after | {explanation['calibration']['temperature']:.3f} |" in card
    assert "wrong pixels are found best by" in card


def test_the_command_that_trains_a_run_again():
    recipe = vars(RECIPES["strong"]) | {"epochs": 66, "network": "unet-stem1", "pretrained": False}
    data = {"data": {"split": "groups"}}
    run = {"recipe": recipe, "model": {"encoder_start": "first/best_model.pth"}} | data
    assert training_command("second", run) == (
        "python -m helpers train DATASET --out runs/second --recipe strong --network unet-stem1 --epochs 66 "
        "--random-start --init runs/first/best_model.pth"
    )
    own = {"recipe": {"name": "mine"}, "model": {"encoder_start": "random"}}
    assert training_command("tuned", own).startswith("# tuned: trained from Python")
    without = {"recipe": vars(RECIPES["strong"]), "model": {"encoder_start": "random"}} | data
    assert training_command("first", without).endswith("--recipe strong --random-start")
    plain = {"recipe": vars(RECIPES["report"]), "model": {"encoder_start": "imagenet"}} | data
    assert training_command("plain", plain) == "python -m helpers train DATASET --out runs/plain --recipe report"
    official = plain | {"data": {"split": "official 2"}}
    assert training_command("plain", official).endswith("--recipe report --split 2")
    for method, options in (
        ("official 1, copies left out", "--split 1 --drop-copies"),
        ("groups, copies left out", "--drop-copies"),
    ):
        left_out = plain | {"data": {"split": method}}
        assert training_command("plain", left_out).endswith(f"--recipe report {options}")
    control = plain | {"recipe": vars(replace(control_recipe(RECIPES["report"], 16), epochs=9))}
    assert training_command("blind", control).endswith("--recipe report --epochs 9 --shuffled-masks 16")
    by_hand = plain | {"recipe": vars(RECIPES["report"]) | {"dropout": 0.5, "augmentation": ["flips"]}}
    assert training_command("other", by_hand) == "# other: trained from Python, by `report` with another dropout"


@pytest.mark.parametrize("key", [*TRAINING_OPTIONS, *TRAINING_FLAGS])
def test_the_command_line_takes_every_option_that_a_command_may_hold(key):
    flag = TRAINING_FLAGS[key][1] if key in TRAINING_FLAGS else f"--{key.replace('_', '-')} 1"
    network = "--network unet" if key == "network" else flag
    read_arguments("", HANDLERS, ["train", "DATASET", "--out", "RUN", *network.split()])
