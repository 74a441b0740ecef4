"""Publishing: all of a run that others may see, nothing of this machine, and all or nothing."""

import base64
import json
import re
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from folds import empty_masks, example_images, write_fold
from PIL import Image
from tiny_run import change_results, make_cache, read_results

from helpers.__main__ import main
from helpers.config import CLASS_NAMES
from helpers.errors import InputError
from helpers.evaluation.evaluation import evaluate
from helpers.files import write_json
from helpers.inference.trained_model import load_model
from helpers.report import publish, published_figures
from helpers.report.charts import read_as_jpeg
from helpers.report.comparison import shipped_run
from helpers.report.publish import (
    NOTEBOOK,
    README_MARKS,
    notebook_with_result,
    publish_run,
    publish_scores,
    readme_with_results,
)
from helpers.report.tables import format_number, read_reported
from helpers.report.words import headline, result_cell
from helpers.training.checkpoints import load_checkpoint

FIGURES = [
    "fig00_result.png", "fig01_tiles.png", "fig02_training.png", "fig03_scores.png", "fig04_tissues.png",
    "fig05_predictions.png", "fig06_attention.png", "fig07_augmentation.png", "fig08_regions.png",
    "fig14_nuclei.png", "fig15_areas.png",
]  # fmt: skip

ABLATION_ROW = {
    "changed": "stop early False", "compared_with": None, "n": 3, "seeds": [0], "mean": 0.5, "spread": None,
    "difference": None, "interval": None, "noise": None, "parameters": 7, "seconds": 60.0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def tmp_path(tmp_path):
    """An empty folder; removed at once, for pytest would keep it, runs and all."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def scored(finished_run, tmp_path_factory):
    """A copy of the finished run whose validation part has been scored."""
    folder = tmp_path_factory.mktemp("scored")
    run = finished_run.copy(folder / "run")
    evaluate(run, finished_run.dataset)
    yield run
    shutil.rmtree(folder)


@pytest.fixture
def run(scored, tmp_path):
    """A copy to change."""
    return shutil.copytree(scored, tmp_path / "run")


@pytest.fixture(scope="module", autouse=True)
def _quick_export():
    """Leave the export out, which takes a minute: `test_export` and `test_integers` look at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "export_onnx", lambda weights, out: out.write_bytes(weights.read_bytes()[:100]))
        patch.setattr(publish, "to_integers", lambda content, tiles: content + str(tiles.shape).encode())
        yield


@pytest.fixture(scope="module")
def published(scored, tmp_path_factory):
    """A project that the run was published into, and the paths that were named."""
    project = tmp_path_factory.mktemp("project")
    (project / "README.md").write_text(f"# Title\n\n{README_MARKS[0]}\nold\n{README_MARKS[1]}\n\nEnd.\n", "utf-8")
    cells = [{"id": "title", "source": ["# Title"]}, {"id": "result", "source": ["old"]}]
    (project / NOTEBOOK).write_text(json.dumps({"cells": cells}), "utf-8")
    return project, publish_run(scored, project, ship=True)


@pytest.fixture
def _quick_figures(monkeypatch):
    """Draw nothing but frames: what the figures show, other tests look at."""

    def draw(*arguments):
        return {name: plt.figure(figsize=(1, 1)) for name in FIGURES}

    monkeypatch.setattr(publish, "draw_figures", draw)


def reported_of(run) -> dict:
    results = read_results(run)
    return {"shipped": {"run": "run", "evaluations": results["evaluations"]}, "runs": {"run": results}}


def contents(project) -> dict[str, bytes]:
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_files(published):
    project, named = published
    expected = [
        "results.json",
        "history.csv",
        "nuclei_lite0.safetensors",
        "nuclei_lite0.onnx",
        "nuclei_lite0_int8.onnx",
        "RESULTS.md",
        "MODEL_CARD.md",
    ]
    expected = [*(f"models/{name}" for name in expected), *(f"figures/{name}" for name in FIGURES)]
    expected += ["README.md", NOTEBOOK]
    assert sorted(path.relative_to(project).as_posix() for path in named) == sorted(expected)
    assert sorted(contents(project)) == sorted(expected)


def test_results_are_those_of_the_run_without_its_paths(published, scored, tmp_path_factory):
    project, _ = published
    expected = read_results(scored)
    assert expected["data"].pop("path")
    text = (project / "models/results.json").read_text(encoding="utf-8")
    assert json.loads(text)["runs"] == {"run": expected}
    assert "slides" in text  # the data set's name may be seen
    assert str(tmp_path_factory.getbasetemp()) not in text
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', text)
    assert [string for string in strings if string.startswith("/") or re.match(r"[A-Za-z]:\\|~", string)] == []


def test_history_is_that_of_the_run(published, scored):
    project, _ = published
    lines = (scored / "history.csv").read_text("utf-8").splitlines()
    expected = [f"run,{lines[0]}", *(f"run,{line}" for line in lines[1:])]
    assert (project / "models/history.csv").read_text("utf-8").splitlines() == expected


def test_what_was_published_can_be_reported(published):
    reported, history = read_reported(published[0] / "models")
    assert reported["runs"]["run"]["recipe"]["name"] == "tiny"
    assert history.index.tolist() == [("run", 1), ("run", 2)]


def test_the_shipped_model_is_the_best_of_the_run(published, scored):
    project, _ = published
    reported = json.loads((project / "models/results.json").read_text("utf-8"))
    model = load_model(project / "models/nuclei_lite0.safetensors")
    about = {"run": "run", "file": "nuclei_lite0.safetensors", "digest": model.digest}
    assert reported["shipped"] == about | {"evaluations": read_results(scored)["evaluations"]}
    exported = (project / "models/nuclei_lite0.onnx").read_bytes()
    assert len(exported) == 100  # exported from the weights beside it
    training = reported["runs"]["run"]["data"]["train_tiles"]
    integers = (project / "models/nuclei_lite0_int8.onnx").read_bytes()
    assert integers == exported + str((training, 64, 64, 3)).encode()  # by the ranges of the tiles it was trained on
    best, _ = load_checkpoint(scored / "best_model.pth")
    for name, value in best.named_parameters():
        torch.testing.assert_close(model.network.get_parameter(name), value, rtol=1e-3, atol=1e-6)
    card = (project / "models/MODEL_CARD.md").read_text("utf-8")
    assert model.digest in card
    assert "1.00 um/px in tiles of 64 pixels" in card
    assert "Not for diagnosis" in card


def test_a_second_run_stands_beside_the_first(published, scored, tmp_path):
    project = shutil.copytree(published[0], tmp_path / "project")
    before = contents(project)
    other = shutil.copytree(scored, tmp_path / "other")
    change_results(other, recipe={"name": "other"})
    named = publish_run(other, project)
    reported, history = read_reported(project / "models")
    assert list(reported["runs"]) == ["run", "other"]
    assert reported["shipped"]["run"] == "run"
    assert history.index.tolist() == [("run", 1), ("run", 2), ("other", 1), ("other", 2)]
    written = {path.relative_to(project).as_posix() for path in named}
    tables = {"models/results.json", "models/history.csv", "models/MODEL_CARD.md", "models/RESULTS.md"}
    assert written == tables | {"README.md", NOTEBOOK}
    assert {name for name, value in contents(project).items() if before[name] != value} == tables


@pytest.mark.usefixtures("_quick_figures")
def test_an_ablation_stands_beside_the_runs(published, scored, tmp_path, capsys):
    project, folder = shutil.copytree(published[0], tmp_path / "project"), tmp_path / "ablation"
    folder.mkdir()
    before, _ = read_reported(project / "models")
    made = [
        {"data": {"digest": digest}, "rows": {name: ABLATION_ROW}}
        for digest, name in (
            ("another", "first"),
            (shipped_run(before)["data"]["digest"], "second"),
            ("another", "third"),
        )
    ]
    for ablation in made:
        write_json(folder / "ablation.json", ablation)
        assert main(["publish", str(folder), "--project", str(project)]) == 0
        assert f"{project / 'models/RESULTS.md'}\n" in capsys.readouterr().out
    old, today = (project / "models/RESULTS.md").read_text("utf-8").split("## Ablation")[1:][::-1]
    assert old.startswith(" (old masks)\n")
    assert "| third | stop early False |" in old
    assert today.startswith("\n")
    assert "| second | stop early False |" in today
    after, _ = read_reported(project / "models")
    assert after == before | {"ablations": made[1:]}
    publish_run(scored, project, ship=True)
    assert read_reported(project / "models")[0] == after


def test_the_shipped_run_is_not_replaced_without_its_weights(published, scored, tmp_path):
    project = shutil.copytree(published[0], tmp_path / "project")
    before = contents(project)
    with pytest.raises(InputError, match="run is the shipped run; ship it again"):
        publish_run(scored, project)
    assert contents(project) == before


@pytest.mark.usefixtures("_quick_figures")
def test_what_an_explanation_chose_travels_with_the_weights(explained_run, tmp_path):
    evaluate(explained_run, explained_run.parent / "slides")
    results = read_results(explained_run)
    results["explanation"] |= {"preferred": "Grad-CAM++, decoder 2"}
    write_json(explained_run / "results.json", results)
    publish_run(explained_run, tmp_path, ship=True)
    model = load_model(tmp_path / "models/nuclei_lite0.safetensors")
    assert model.temperature == pytest.approx(results["explanation"]["calibration"]["temperature"])
    assert model.attention == "Grad-CAM++, decoder 2"
    reported = json.loads((tmp_path / "models/results.json").read_text("utf-8"))
    assert reported["runs"]["run"]["explanation"] == results["explanation"]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_pictures_of_something(published, name):
    with Image.open(published[0] / "figures" / name) as picture:
        picture.load()
        pixels = np.asarray(picture.convert("RGB"))
        assert picture.format == "PNG"
    assert pixels.shape[0] >= 200
    assert pixels.shape[1] >= 200
    assert pixels.std() > 10
    assert (pixels[0, 0] >= 250).all()  # a white margin


def test_readme_gets_the_headline(published, scored):
    text = (published[0] / "README.md").read_text(encoding="utf-8")
    assert text == f"# Title\n\n{README_MARKS[0]}\n{headline(reported_of(scored))}\n{README_MARKS[1]}\n\nEnd.\n"
    (entry,) = read_results(scored)["evaluations"].values()
    assert f"| {format_number(entry['predictors']['model']['scores']['dice'])} (" in text


def test_the_notebook_opens_with_the_result(published, scored):
    project, _ = published
    title, result = json.loads((project / NOTEBOOK).read_text("utf-8"))["cells"]
    assert title == {"id": "title", "source": ["# Title"]}
    assert "".join(result["source"]) == result_cell(reported_of(scored), "attachment:result.jpg")
    picture = base64.b64decode(result["attachments"]["result.jpg"]["image/jpeg"])
    assert picture == read_as_jpeg(project / "figures/fig00_result.png")
    text = json.dumps({"cells": [title]})
    assert json.loads(notebook_with_result(text, reported_of(scored), b"x")) == {"cells": [title]}


@pytest.mark.usefixtures("_quick_figures")
def test_scores_of_the_shipped_weights_replace_those_of_the_run(published, finished_run, tmp_path, monkeypatch):
    project = shutil.copytree(published[0], tmp_path / "project")
    weights = project / "models/nuclei_lite0.safetensors"
    before, _ = read_reported(project / "models")
    monkeypatch.chdir(project)
    with pytest.raises(InputError, match="its validation part was never scored"):
        publish_scores(weights, project)
    entry = evaluate(weights, finished_run.dataset)
    named = publish_scores(weights, project)
    reported, _ = read_reported(project / "models")
    (shipped,) = reported["shipped"]["evaluations"].values()
    assert shipped["part"] == "validation"
    assert shipped["date"] == entry["date"]
    assert reported["runs"] == before["runs"]
    assert weights not in named
    assert project / "figures/fig00_result.png" in named
    reported["shipped"]["digest"] = "0" * 64
    write_json(project / "models/results.json", reported)
    with pytest.raises(InputError, match="expected the weights that .* ships"):
        publish_scores(weights, project)


@pytest.mark.usefixtures("_quick_figures")
def test_a_disk_that_fills_up_loses_nothing(published, scored, tmp_path, monkeypatch):
    project = shutil.copytree(published[0], tmp_path / "project")
    before = contents(project)

    def fill(source, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(publish.shutil, "copyfile", fill)
    with pytest.raises(OSError, match="No space left"):
        publish_run(scored, project, ship=True)
    assert contents(project) == before


def test_a_control_is_not_shipped(scored, tmp_path):
    shutil.copytree(scored, tmp_path / "run")
    change_results(tmp_path / "run", recipe={"shuffled_masks": True})
    with pytest.raises(InputError, match="expected a model to ship, found a control"):
        publish_run(tmp_path / "run", tmp_path / "project", ship=True)
    assert not (tmp_path / "project").exists()


def test_run_itself_is_left_alone(published, scored):
    assert read_results(scored)["data"]["path"]
    assert sorted(path.name for path in scored.iterdir()) == [".lock", "best_model.pth", "history.csv", "results.json"]


@pytest.mark.usefixtures("_quick_figures")
def test_no_figure_is_left_open(scored, tmp_path):
    publish_run(scored, tmp_path, ship=True)
    assert plt.get_fignums() == []


def test_figures_of_an_earlier_run_go_and_others_stay(published, scored):
    project, _ = published
    before = contents(project)
    for name in ("fig07_old.png", "logo.png", "fig07_notes.txt"):
        (project / "figures" / name).write_bytes(b"x")
    publish_run(scored, project, ship=True)
    # What is published a second time is the same to the byte.
    assert contents(project) == before | {"figures/logo.png": b"x", "figures/fig07_notes.txt": b"x"}


@pytest.mark.usefixtures("_quick_figures")
def test_project_is_made_and_gets_no_readme(run, tmp_path):
    named = publish_run(run, tmp_path / "new" / "project", ship=True)
    assert all(path.is_file() for path in named)
    assert "README.md" not in {path.name for path in named}


# Refusals change nothing.


@pytest.fixture
def project(tmp_path):
    """A project with what an earlier run left."""
    folder = tmp_path / "project"
    for name in ("models/results.json", "models/history.csv", "figures/fig01_tiles.png", "figures/fig09_old.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b'{"shipped": null, "runs": {}}')
    return folder


def assert_refused(run, project, message: str) -> None:
    before = contents(project)
    with pytest.raises(InputError, match=message):
        publish_run(run, project, ship=True)
    assert contents(project) == before


def test_unfinished_run(run, project):
    change_results(run, training={"status": "running", "epochs": 1})
    assert_refused(run, project, "expected a finished run, found one after 1 epochs")


def test_run_that_was_never_scored(finished_run, tmp_path, project):
    run = finished_run.copy(tmp_path / "unscored")
    assert_refused(run, project, "its validation part was never scored; run `python -m helpers evaluate`")


def test_run_that_was_only_scored_elsewhere(run, project):
    results = read_results(run)
    (entry,) = results["evaluations"].values()
    change_results(run, evaluations={key: entry | {"part": "all"} for key in results["evaluations"]})
    assert_refused(run, project, "its validation part was never scored")


def test_validation_part_without_nuclei(run, project):
    results = read_results(run)
    ((key, entry),) = results["evaluations"].items()
    entry["predictors"]["model"]["scores"]["dice"] = None
    change_results(run, evaluations={key: entry})
    assert_refused(run, project, "expected nuclei in its validation part, found none")


def test_data_set_that_is_gone(run, project, tmp_path):
    change_results(run, data={"path": str(tmp_path / "gone")})
    assert_refused(run, project, "gone: expected a folder with a data set, found nothing")


def test_data_set_that_has_changed(run, project, tmp_path):
    other = write_fold(tmp_path / "other", example_images(2), empty_masks(2))
    change_results(run, data={"path": str(other)})
    assert_refused(run, project, "the data set has changed since the model was scored on it")


def test_folder_that_holds_no_run(tmp_path, project):
    assert_refused(tmp_path, project, "expected the folder of a finished run, found none in it")


@pytest.mark.usefixtures("_quick_figures")
@pytest.mark.parametrize("drawing", ["draw_figures", "_save_small"])
def test_drawing_that_fails_changes_nothing(run, project, monkeypatch, drawing):
    def fail(*arguments):
        raise RuntimeError("no ink")

    monkeypatch.setattr(publish, drawing, fail)
    before = contents(project)
    with pytest.raises(RuntimeError, match="no ink"):
        publish_run(run, project, ship=True)
    assert contents(project) == before


# The parts.


def test_readme_without_marks_is_left_alone(scored):
    results = reported_of(scored)
    for text in ("# Title\n", f"{README_MARKS[0]}\nno end\n", f"only an end {README_MARKS[1]}\n", ""):
        assert readme_with_results(text, results) == text


def test_readme_with_results_can_be_written_again(scored):
    results = reported_of(scored)
    once = readme_with_results(f"a {README_MARKS[0]}{README_MARKS[1]} b", results)
    assert readme_with_results(once, results) == once
    assert once.startswith(f"a {README_MARKS[0]}\n")
    assert once.endswith(f"\n{README_MARKS[1]} b")


def test_pictures_are_made_small(tmp_path):
    figure, axes = plt.subplots(figsize=(3, 2), dpi=100)
    axes.imshow(np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8))
    publish._save_small(figure, tmp_path / "small.png")
    figure.savefig(tmp_path / "large.png")
    with Image.open(tmp_path / "small.png") as small, Image.open(tmp_path / "large.png") as large:
        assert small.size == large.size == (300, 200)
        assert (small.mode, large.mode) == ("P", "RGBA")
        difference = np.asarray(small.convert("RGB")).astype(int) - np.asarray(large.convert("RGB"))
    assert np.abs(difference).mean() < 10
    assert (tmp_path / "small.png").stat().st_size < (tmp_path / "large.png").stat().st_size


def test_data_set_is_typed_where_every_tissue_has_several_classes():
    several, one = [3, 0, 0, 0, 1], [5, 0, 0, 0, 0]
    other = [0, 0, 2, 0, 0]
    assert len(several) == len(CLASS_NAMES)
    assert published_figures._is_typed(make_cache([several, one, other], ["Skin", "Skin", "Skin"]))
    assert published_figures._is_typed(make_cache([one, other, several], ["Skin", "Skin", "Colon"]))
    assert not published_figures._is_typed(make_cache([several, one, one], ["Skin", "Colon", "Colon"]))
