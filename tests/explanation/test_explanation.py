"""The whole explanation of a small run, and what is refused."""

import json

import numpy as np
import pytest
import torch
from tiny_run import FinishedRun, change_results, read_results

from helpers.data.prepare import prepare
from helpers.errors import InputError
from helpers.evaluation.failures import CAUSES
from helpers.evaluation.uncertainty import UNCERTAINTIES
from helpers.explanation.explanation import explain_run, explain_tiles
from helpers.explanation.faithfulness import ALL_RANDOM, CONTROLS, LEARNT, OCCLUSION, SHUFFLED
from helpers.training.checkpoints import save_checkpoint
from helpers.training.comparisons import build_network
from helpers.training.results import BEST


@pytest.fixture
def explanation(explained_run) -> dict:
    return read_results(explained_run)["explanation"]


def test_every_part_is_there_in_plain_numbers(explanation, explained_run):
    results = read_results(explained_run)
    assert explanation["tiles"] == results["data"]["validation_tiles"]
    assert set(explanation["uncertainty"]) == {*UNCERTAINTIES, "perfect", "none"}
    assert set(explanation["failures"]["causes"]) == {*CAUSES, "none of these"}
    assert 0.1 <= explanation["calibration"]["temperature"] <= 10
    assert explanation["environment"]["packages"]["torch"]
    assert explanation["control"]["epochs"] == 8
    assert json.loads(json.dumps(explanation, allow_nan=False)) == explanation


def test_every_map_is_measured_on_as_many_tiles(explanation):
    maps, sanity = explanation["faithfulness"]["maps"], explanation["sanity"]["maps"]
    assert explanation["faithfulness"]["tiles"] == 3
    assert explanation["sanity"]["tiles"] == 1
    assert set(maps) == {*sanity, *CONTROLS}
    assert maps["random"]["n"] > 0
    assert maps["random"]["over"]["random"]["mean"] == 0
    # The control is the network itself, so its maps are its own; rounding changes the order of a deep one's few cells.
    for where in (SHUFFLED, LEARNT):
        assert sanity["Grad-CAM, decoder 0"][where]["mean"] in (None, pytest.approx(1, abs=0.01))
        assert all(where in networks for networks in sanity.values())
    assert set(sanity[OCCLUSION]) == {ALL_RANDOM, SHUFFLED, LEARNT}
    assert explanation["preferred"] is None or explanation["preferred"] in sanity


def test_what_the_run_reported_stays(explained_run):
    results = read_results(explained_run)
    assert set(results) == {"recipe", "data", "model", "training", "environment", "evaluations", "explanation"}
    assert results["training"]["epochs"] == 8


def test_a_single_source_image_is_refused(finished_run, tmp_path):
    run = finished_run.copy(tmp_path / "run")
    with pytest.raises(InputError, match="slides: expected validation tiles of at least 2 source images, found 1"):
        explain_run(run, finished_run.dataset)


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("data", {"digest": "0" * 64}, "slides: expected the data set of the run"),
        ("training", {"status": "running"}, "run: expected a finished run, found one after 2 epochs"),
        ("recipe", {"network": "smp-unet"}, "expected one of the networks unet, .*found 'smp-unet'"),
    ],
)
def test_what_cannot_be_explained_is_refused(finished_run, tmp_path, part, values, message):
    run = finished_run.copy(tmp_path / "run")
    change_results(run, **{part: values})
    with pytest.raises(InputError, match=message):
        explain_run(run, finished_run.dataset)
    assert "explanation" not in read_results(run)


def test_a_network_that_finds_nothing_is_refused(explained_run):
    results = read_results(explained_run)
    cache = prepare(explained_run.parent / "slides", 64, "nearest", progress=False)
    model = build_network("unet", 64).eval()
    with torch.no_grad():
        model.head.bias.fill_(-100)
    with pytest.raises(InputError, match="expected nuclei in the validation tiles, and found by the network"):
        explain_tiles(model, model, cache, np.array(results["data"]["validation_indices"]))


def test_a_control_of_another_network_is_refused(finished_run, tmp_path):
    run = finished_run.copy(tmp_path / "run")
    save_checkpoint(tmp_path / BEST, build_network("unet-narrow", 64), um_per_px=1.0)
    with pytest.raises(InputError, match=r"expected weights of network 'unet', found those of 'unet-narrow'"):
        explain_run(run, finished_run.dataset, tmp_path / BEST)


def test_risk_at_full_coverage_is_the_mean_loss(explanation):
    ends = [summary["risk"][-1] for summary in explanation["uncertainty"].values()]
    np.testing.assert_allclose(ends, ends[0])


def test_a_control_that_was_not_trained_as_one_is_refused(explained_run, finished_run):
    with pytest.raises(InputError, match="expected a control, trained with `--shuffled-masks`"):
        explain_run(explained_run, finished_run.dataset, finished_run.folder / BEST)


def test_a_control_is_added_to_what_was_explained_before(explained_run, tmp_path):
    run = FinishedRun(explained_run.parent / "slides", explained_run).copy(tmp_path / "run")
    before = read_results(run)["explanation"]
    bare = {name: {ALL_RANDOM: networks[ALL_RANDOM]} for name, networks in before["sanity"]["maps"].items()}
    change_results(run, explanation={"control": None, "sanity": before["sanity"] | {"maps": bare}})
    control = explained_run.parent / "control" / BEST
    after = explain_run(run, explained_run.parent / "slides", control, sane=1, control_alone=True)
    assert after["control"] == before["control"]
    for name, networks in after["sanity"]["maps"].items():
        assert set(networks) == {ALL_RANDOM, SHUFFLED, LEARNT}
        assert networks[ALL_RANDOM] == before["sanity"]["maps"][name][ALL_RANDOM]  # kept
    finest, finest_before = (told["sanity"]["maps"]["Grad-CAM, decoder 0"] for told in (after, before))
    for where in (SHUFFLED, LEARNT):
        assert finest[where] == pytest.approx(finest_before[where], abs=0.01)
    assert {part: after[part] for part in ("uncertainty", "faithfulness")} == {
        part: before[part] for part in ("uncertainty", "faithfulness")
    }


def test_a_control_alone_needs_an_explanation_to_be_added_to(finished_run):
    with pytest.raises(InputError, match="expected an explanation, and a control to add to it"):
        explain_run(finished_run.folder, finished_run.dataset, finished_run.folder / BEST, control_alone=True)
