"""Reading what a finished run reached."""

import pytest
from tiny_run import change_results, read_results

from helpers.errors import InputError
from helpers.files import write_json
from helpers.training.results import RESULTS, read_finished


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
