"""What is scored, and on which tiles: a run, weights beside what was published of them, weights alone."""

import shutil

import numpy as np
import pytest
from folds import example_images, example_masks, write_fold
from tiny_run import read_results

from helpers.data.prepare import prepare
from helpers.errors import InputError
from helpers.evaluation.evaluation import evaluate
from helpers.evaluation.subject import choose_tiles, open_subject
from helpers.files import read_json, write_json
from helpers.inference.trained_model import WEIGHTS, load_model
from helpers.training.checkpoints import export_weights


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Scores of weights go to `runs` in the working folder."""
    monkeypatch.chdir(tmp_path)
    yield
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)


@pytest.fixture
def weights(finished_run, tmp_path):
    """The finished run's weights, and beside them what `publish` would say of them."""
    path = tmp_path / "models" / "tiny.safetensors"
    path.parent.mkdir()
    digest = export_weights(finished_run.folder / "best_model.pth", path)
    results = read_results(finished_run.folder)
    write_json(
        path.with_name("results.json"), {"shipped": {"run": "tiny", "digest": digest}, "runs": {"tiny": results}}
    )
    return path


def draw_anew(dataset, folder):
    """Copy a data set and move every mask by a pixel."""
    shutil.copytree(dataset, folder)
    masks = np.load(folder / "Masks/masks.npy")
    np.save(folder / "Masks/masks.npy", np.roll(masks, 1, axis=1))
    return folder


def test_weights_are_scored_on_the_groups_that_their_run_kept(weights, finished_run, tmp_path):
    data = read_results(finished_run.folder)["data"]
    entry = evaluate(weights, finished_run.dataset)
    assert (entry["part"], entry["tiles"]) == ("validation", len(data["validation_indices"]))
    found = read_json(tmp_path / "runs/tiny/results.json")
    assert found["weights"] == {"file": "tiny.safetensors", "digest": load_model(weights).digest}
    assert found["data"] == {"path": str(finished_run.dataset.resolve())}
    assert list(found["evaluations"]) == [f"slides:{entry['digest'][:12]}"]


def test_a_folder_that_holds_weights_will_do(weights, finished_run):
    assert open_subject(weights.parent).model.digest == load_model(weights).digest == load_model(weights.parent).digest
    shutil.copyfile(weights, weights.with_name("other.safetensors"))
    with pytest.raises(InputError, match="expected the folder of a finished run"):
        open_subject(weights.parent)
    shutil.copyfile(weights, (run := finished_run.copy(weights.parent / "run")) / "tuned.safetensors")
    assert open_subject(run).name == str(run)  # a run goes before the weights in its folder


def test_masks_drawn_anew_keep_the_validation_groups(weights, finished_run, tmp_path):
    anew = draw_anew(finished_run.dataset, tmp_path / "anew")
    data = read_results(finished_run.folder)["data"]
    for source in (weights, finished_run.folder):
        subject = open_subject(source)
        cache = prepare(anew, 64, progress=False)
        assert cache.digest != data["digest"]
        part, indices = choose_tiles(subject, cache)
        assert (part, indices.tolist()) == ("validation", data["validation_indices"])


def test_weights_that_nothing_was_published_of_know_their_training_tiles(weights, finished_run, tmp_path):
    weights.with_name("results.json").unlink()
    with pytest.raises(InputError, match=r"slides: \S*tiny.safetensors was trained on \d+ of these 24 tiles"):
        evaluate(weights, finished_run.dataset)
    other = write_fold(tmp_path / "other", example_images(2), example_masks(2))
    assert evaluate(weights, other)["part"] == "all"


def test_scores_of_other_weights_are_not_mixed_in(weights, finished_run, tmp_path):
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    write_json(folder / "results.json", {"weights": {"file": "tiny.safetensors", "digest": "0" * 64}})
    with pytest.raises(InputError, match="expected scores of tiny.safetensors with the digest"):
        evaluate(weights, finished_run.dataset)


def test_the_scores_folder_is_no_run(weights, finished_run, tmp_path):
    evaluate(weights, finished_run.dataset)
    with pytest.raises(InputError, match="the folder of a finished run, found a results.json of something else"):
        open_subject(tmp_path / "runs" / "tiny")


def test_nothing_given_is_the_shipped_model():
    subject = open_subject()
    assert subject.name == str(WEIGHTS)
    assert subject.model.digest == load_model().digest
    assert subject.data["validation_groups"]
    assert subject.recipe.network == subject.model.network.name
