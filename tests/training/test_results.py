"""Reading what a finished run reached."""

from pathlib import Path

import pytest
from scored_nuclei import nuclei_scores
from tiny_run import change_results, read_results

from helpers.errors import InputError
from helpers.evaluation.evaluation import evaluate
from helpers.files import read_json, write_json
from helpers.training.results import (
    RESULTS,
    Evaluation,
    KindScores,
    NucleiScores,
    Predictor,
    Reported,
    Results,
    Shipped,
    read_finished,
)

PROJECT = Path(__file__).resolve().parents[2]


def assert_shape(values: dict, shape: type) -> None:
    """Fail unless the keys are those that a type names."""
    assert shape.__required_keys__ <= values.keys() <= shape.__required_keys__ | shape.__optional_keys__


def assert_nuclei(nuclei: dict | None) -> None:
    if nuclei is not None:
        assert_shape(nuclei, NucleiScores)
        if nuclei["kinds"] is not None:
            assert_shape(nuclei["kinds"], KindScores)


def assert_run(results: dict) -> None:
    assert_shape(results, Results)
    for evaluation in results["evaluations"].values():
        assert_shape(evaluation, Evaluation)
        assert_nuclei(evaluation.get("nuclei"))
        for predictor in evaluation["predictors"].values():
            assert_shape(predictor, Predictor)


def test_a_run_holds_what_the_types_say(finished_run, tmp_path):
    run = finished_run.copy(tmp_path / "run")
    evaluate(run, finished_run.dataset)
    assert len(read_results(run)["evaluations"]) == 1
    assert_run(read_results(run))


def test_scores_of_single_nuclei_hold_what_the_types_say():
    assert_nuclei(nuclei_scores())


def test_what_is_published_holds_what_the_types_say():
    reported = read_json(PROJECT / "models" / RESULTS)
    assert_shape(reported, Reported)
    assert_shape(reported["shipped"], Shipped)
    assert len(reported["runs"]) > 1
    for run in reported["runs"].values():
        assert_run(run)


def test_a_finished_run(finished_run):
    assert read_finished(finished_run.folder) == read_results(finished_run.folder)


def test_a_run_that_goes_on_is_refused(finished_run, tmp_path):
    run = finished_run.copy(tmp_path / "run")
    change_results(run, training={"status": "running", "epochs": 1})
    with pytest.raises(InputError, match="run: expected a finished run, found one after 1 epochs"):
        read_finished(run)


def test_scores_of_weights_and_empty_folders_are_no_runs(tmp_path):
    with pytest.raises(InputError, match="expected the folder of a finished run, found none in it"):
        read_finished(tmp_path)
    write_json(tmp_path / RESULTS, {"weights": {}, "evaluations": {}})
    with pytest.raises(InputError, match="found a results.json of something else, such as scores"):
        read_finished(tmp_path)
