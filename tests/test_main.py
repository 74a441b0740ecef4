"""The commands: the whole way on tiny data, and one line for whatever goes wrong."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from folds import empty_masks, example_images, example_masks, write_fold
from published import noise, write_image, write_nuinsseg
from tiny_run import change_results

from helpers import __main__ as commands
from helpers.__main__ import main
from helpers.arguments import DOWNLOADS
from helpers.config import Recipe
from helpers.data.fold import find_folds
from helpers.data.prepare import prepare
from helpers.evaluation import ablation
from helpers.evaluation.subject import read_training_tiles
from helpers.explanation import explanation
from helpers.files import write_json
from helpers.inference import integers
from helpers.report import publish
from helpers.sample_tissue.sample import sample_field
from helpers.training import run
from helpers.training.checkpoints import export_weights
from helpers.training.control import control_recipe

COMMANDS = ("sample", "download", "convert", "prepare", "train", "evaluate", "explain", "ablate", "publish")
TINY = ("--recipe", "quick", "--image-size", "32", "--epochs", "1")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def tmp_path(tmp_path) -> Iterator[Path]:
    """An empty folder; removed at once, for pytest would keep it, runs and all."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def exported(finished_run, tmp_path_factory) -> Iterator[Path]:
    """The weights of the finished run, without what training alone needs."""
    path = tmp_path_factory.mktemp("exported") / "tiny.safetensors"
    export_weights(finished_run.folder / "best_model.pth", path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def slides(tmp_path_factory) -> Iterator[Path]:
    """Sample tiles, as the command writes them: two slides of four."""
    folder = tmp_path_factory.mktemp("main") / "slides"
    assert main(["sample", str(folder), "--tiles", "8", "--seed", "3"]) == 0
    yield folder
    shutil.rmtree(folder)


def call(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def assert_one_line(capsys, *parts: str) -> None:
    """Check that one line and nothing else was written on standard error, and none about code."""
    captured = capsys.readouterr()
    assert captured.err.endswith("\n")
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in captured.out + captured.err
    for part in parts:
        assert part in line


def refused_by_parser(capsys, *arguments: object) -> str:
    """Give what argparse says against some arguments."""
    with pytest.raises(SystemExit) as stop:
        call(*arguments)
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]


# The whole way.


def test_from_sample_tiles_to_a_published_run(tmp_path, capsys):
    slides, run, project = tmp_path / "slides", tmp_path / "run", tmp_path / "project"

    assert call("sample", slides, "--tiles", 12) == 0
    assert capsys.readouterr().out == f"{slides}\n"
    assert np.load(slides / "Images/groups.npy").tolist()[::4] == ["sample-0-000", "sample-0-001", "sample-0-002"]

    assert call("prepare", slides, "--image-size", 32) == 0
    captured = capsys.readouterr()
    cache = prepare(slides, 32, progress=False)
    assert captured.out == f"slides: 12 tiles at 32 pixels, digest {cache.digest}\n"
    assert "preparing" in captured.err  # the bar

    train = ("train", slides, "--out", run, *TINY)
    assert call(*train) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("epoch  1/1  train loss ")
    assert re.fullmatch(r"best epoch 1: validation Dice 0\.\d{3}", output[-1])
    kept = {path.name: path.read_bytes() for path in run.iterdir()}
    assert set(kept) == {".lock", "best_model.pth", "last.pth", "history.csv", "results.json"}

    assert call(*train) == 0
    assert capsys.readouterr().out.splitlines() == [f"{run}: finished after 1 epochs", *output[-2:]]
    assert output[-2] == "split: No source image stands on both sides."
    assert {path.name: path.read_bytes() for path in run.iterdir()} == kept

    for times in (1, 2):
        assert call("evaluate", run, slides) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines[:4]] == ["model", "untrained", "otsu_haematoxylin", "darkest_fifth"]
        assert all(re.search(r" Dice 0\.\d{3}$", line) for line in lines[:4])
        assert lines[4] == f"slides (validation): 4 tiles, scored {times} time(s)"
        assert re.match(
            r"Single nuclei: PQ \d\.\d{3}, AJI \d\.\d{3}, F1 of detection \d\.\d{3}, over 1 images", lines[5]
        )
    (entry,) = json.loads((run / "results.json").read_text(encoding="utf-8"))["evaluations"].values()
    assert lines[0].endswith(f"{entry['predictors']['model']['scores']['dice']:.3f}")

    for options, files in (((), 3), (("--ship",), 18)):
        assert call("publish", run, "--project", project, *options) == 0
        named = [Path(line) for line in capsys.readouterr().out.splitlines()]
        assert all(path.is_file() for path in named)
        assert sorted(named) == sorted(path for path in project.rglob("*") if path.is_file())
        assert len(named) == files


def test_a_fold_without_source_images_goes_the_whole_way(tmp_path, capsys):
    loose = tmp_path / "loose"
    assert call("sample", loose, "--tiles", 10) == 0
    for name in ("groups", "positions"):
        (loose / f"Images/{name}.npy").unlink()
    assert call("train", loose, "--out", tmp_path / "run", *TINY) == 0
    assert call("evaluate", tmp_path / "run", loose) == 0
    assert "loose (validation): 2 tiles, scored 1 time(s)" in capsys.readouterr().out
    assert call("publish", tmp_path / "run", "--project", tmp_path / "project") == 0
    results = json.loads((tmp_path / "project/models/results.json").read_text(encoding="utf-8"))["runs"]["run"]
    assert (results["data"]["split"], results["data"]["validation_groups"]) == ("tissue", None)
    assert "neighbours may stand on both sides" in results["data"]["note"]


def test_a_download_is_laid_out_and_prepared(slides, tmp_path, capsys):
    source = write_fold(tmp_path / "source", example_images(2), example_masks(2), layout="pannuke", number=2)
    asked = ("download", tmp_path / "out", "--from", source, "--fold", 2, "--compact", "--image-size", 32)
    assert call(*asked) == 2
    assert_one_line(capsys, "read it and add --accept-licence")
    assert call(*asked, "--accept-licence") == 0
    cache = prepare(tmp_path / "out", 32, progress=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [f"{tmp_path / 'out/Fold 2'}: 2 tiles", f"out: 2 tiles at 32 pixels, digest {cache.digest}"]


def test_options_of_the_run_are_recorded(slides, tmp_path, monkeypatch):
    asked = {}

    def train_run(dataset, run, recipe, official, init, workers, progress, use_amp, drop_copies):
        asked.update(dataset=dataset, run=run, recipe=recipe, official=official, progress=progress, use_amp=use_amp)
        asked.update(drop_copies=drop_copies)
        return {"training": {"best_epoch": 2, "best": {"val_dice": 0.5}}, "data": {"note": "By groups."}}

    monkeypatch.setattr(run, "train_run", train_run)
    options = ["--image-size", 96, "--epochs", 7, "--seed", 5, "--split-seed", 3, "--split", 2, "--no-early-stopping"]
    options += ["--network", "unet-stem1", "--boundary-weight", 2, "--shuffled-masks", 5, "--full-precision"]
    options += ["--drop-copies"]
    assert call("train", slides, "--out", tmp_path, *options) == 0
    recipe = asked["recipe"]
    changes = {"image_size": 96, "epochs": 7, "seed": 5, "split_seed": 3, "stop_early": False}
    changes |= {"network": "unet-stem1", "boundary_weight": 2.0}
    assert recipe == dataclasses.replace(control_recipe(commands.RECIPES["report"], 5), **changes)
    assert (asked["dataset"], asked["run"], asked["official"], asked["progress"]) == (slides, tmp_path, 2, True)
    assert (asked["use_amp"], asked["drop_copies"]) == (False, True)


def test_recipe_is_unchanged_if_nothing_is_asked(slides, tmp_path, monkeypatch, capsys):
    def train_run(dataset, run, recipe, official, init, workers, progress, use_amp, drop_copies):
        assert (recipe, official, use_amp, drop_copies) == (commands.RECIPES["report"], None, True, False)
        return {"training": {"best_epoch": 2, "best": {"val_dice": None}}, "data": {"note": "By groups."}}

    monkeypatch.setattr(run, "train_run", train_run)
    assert call("train", slides, "--out", tmp_path) == 0
    assert capsys.readouterr().out == (
        "split: By groups.\nbest epoch 2: validation Dice undefined: no image has nuclei\n"
    )


def test_rows_of_the_ablation_that_are_asked_for(slides, tmp_path, monkeypatch, capsys):
    row = ablation.Row(Recipe("narrow", image_size=32, epochs=1, pretrained=False), None)
    monkeypatch.setattr(ablation, "ROWS", {"wide": row, "narrow": row})
    assert call("ablate", slides, "--out", tmp_path / "out", "--row", "narrow") == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0].startswith("narrow-0  epoch  1/1  train loss ")
    (made,) = json.loads((tmp_path / "out" / "ablation.json").read_text(encoding="utf-8"))["rows"].values()
    assert output[-1].split()[0] == "narrow"
    assert f"{made['mean']:.3f}" in output[-1].split()


def test_dice_of_nothing_is_said_to_be_undefined(finished_run, tmp_path, capsys):
    empty = write_fold(tmp_path / "empty", example_images(2), empty_masks(2))
    assert call("evaluate", finished_run.copy(tmp_path / "run"), empty) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "model              Dice undefined: no image has nuclei"
    assert lines[4] == "empty (all): 2 tiles, scored 1 time(s)"


def test_of_several_models_the_means_are_shown(slides, finished_run, tmp_path, capsys):
    runs = [finished_run.copy(tmp_path / name) for name in "ab"]
    assert call("evaluate", *runs, slides) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line in map("{}:".format, runs)] == [f"{runs[0]}:", f"{runs[1]}:"]
    (entry,) = json.loads((runs[1] / "results.json").read_text(encoding="utf-8"))["evaluations"].values()
    dice = entry["predictors"]["model"]["scores"]["dice"]
    assert lines[-1].startswith(f"Means over 2 models: Dice {dice:.3f} (standard deviation 0.000), PQ ")


def test_a_run_without_an_official_split_has_no_test_fold(finished_run, tmp_path, capsys):
    run = finished_run.copy(tmp_path / "run")
    assert call("evaluate", run, finished_run.dataset, "--part", "test") == 2
    assert_one_line(capsys, "found a model divided by groups", "train it with `--split 1`, 2 or 3")


# What goes wrong.


def test_missing_data_set(finished_run, tmp_path, capsys):
    missing = tmp_path / "missing"
    for arguments in (
        ("prepare", missing), ("train", missing, "--out", tmp_path / "run"), ("evaluate", finished_run.folder, missing)
    ):  # fmt: skip
        assert call(*arguments) == 2
        assert_one_line(capsys, str(missing), "found nothing", "Dataset/README.md")
        assert list(tmp_path.iterdir()) == []


def test_the_same_tiles_twice(slides, tmp_path, monkeypatch, capsys):
    images = np.load(slides / "Images/images.npy")
    twice = write_fold(tmp_path / "twice", images, example_masks(8))
    write_fold(twice, images, example_masks(8), layout="pannuke")
    places = "found 8 of 16 again: 8 of Images/images.npy also in Fold 1/images/fold1/images.npy (tile 0 as tile 0); "
    for _ in range(2):  # from the cache, too
        assert call("prepare", twice, "--image-size", 32) == 0
        *_, line = capsys.readouterr().err.splitlines()
        assert line.startswith(f"warning: twice: expected every tile once, {places}")
    monkeypatch.setenv("RANK", "1")
    assert call("prepare", twice, "--image-size", 32) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("RANK")
    assert call("train", twice, "--out", tmp_path / "run", *TINY) == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert warning == line
    assert error.startswith("error: twice: expected validation tiles that the network is not trained on, found ")
    assert not (tmp_path / "run").exists()
    assert call("train", twice, "--out", tmp_path / "run", *TINY, "--drop-copies") == 0
    data = json.loads((tmp_path / "run/results.json").read_text(encoding="utf-8"))["data"]
    assert (data["split"], data["train_tiles"], data["validation_tiles"]) == ("tissue, copies left out", 6, 2)
    # A validation tile of these is judged: the indices are those of the whole data set.
    assert call("evaluate", tmp_path / "run", twice) == 0
    assert "twice (validation): 2 tiles, scored 1 time(s)" in capsys.readouterr().out


def test_other_arguments_for_the_same_run(finished_run, capsys):
    before = {path.name: path.read_bytes() for path in finished_run.folder.iterdir()}
    assert call("train", finished_run.dataset, "--out", finished_run.folder, "--image-size", 64, "--seed", 1) == 2
    assert_one_line(capsys, "holds a run with", "seed 0, now 1", "give a new folder or the same arguments")
    assert {path.name: path.read_bytes() for path in finished_run.folder.iterdir()} == before


def test_a_run_is_explained(finished_run, tmp_path, monkeypatch, capsys):
    asked = []

    def explain_run(*arguments, control_alone):
        asked.extend([*arguments, control_alone])
        return {"preferred": None}

    monkeypatch.setattr(explanation, "explain_run", explain_run)
    assert call("explain", tmp_path, finished_run.dataset, "--shuffled", "control.pth", "--tiles", 7) == 0
    assert asked == [tmp_path, finished_run.dataset, Path("control.pth"), 7, False]
    assert capsys.readouterr().out == "preferred map: none passes\n"


def test_integers_are_made_by_the_tiles_of_a_data_set(finished_run, exported, tmp_path, monkeypatch, capsys):
    asked, weights, out = [], exported, tmp_path / "eight.onnx"
    monkeypatch.setattr(integers, "export_integers", lambda *arguments: asked.extend(arguments))
    assert call("export", weights, "--onnx", out, "--int8", finished_run.dataset) == 0
    assert asked[:2] == [weights, out]
    np.testing.assert_array_equal(asked[2], read_training_tiles(weights, finished_run.dataset))
    assert capsys.readouterr().out == f"{out}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "DATASET", "--out", "RUN", "--recipe", "secret"), "invalid choice: 'secret'"),
        (("train", "DATASET"), "the following arguments are required: --out"),
        (("train", "DATASET", "--out", "RUN", "--epochs", "0"), "expected a whole number, 1 or more, found '0'"),
        (("train", "DATASET", "--out", "RUN", "--learning-rate", "-1"), "expected a number above 0, found '-1'"),
        (("train", "DATASET", "--out", "RUN", "--learning-rate", "nan"), "expected a number above 0, found 'nan'"),
        (("train", "DATASET", "--out", "RUN", "--learning-rate", "fast"), "expected a number above 0, found 'fast'"),
        (("train", "DATASET", "--out", "RUN", "--epochs", "ten"), "expected a whole number, 1 or more, found 'ten'"),
        (("train", "DATASET", "--out", "RUN", "--seed", "-1"), "expected a whole number, 0 or more, found '-1'"),
        (("train", "DATASET", "--out", "RUN", "--split", "4"), "invalid choice"),
        (("train", "DATASET", "--out", "RUN", "--network", "vit"), "invalid choice: 'vit' (choose from"),
        (("ablate", "DATASET", "--out", "RUN", "--row", "secret"), "invalid choice: 'secret' (choose from"),
        (("prepare", "DATASET", "--labels", "guess"), "invalid choice: 'guess'"),
        (("sample", "OUT", "--tiles", "many"), "invalid int value: 'many'"),
        (("convert", "SOURCE", "OUT"), "the following arguments are required: --kind"),
        (("convert", "SOURCE", "OUT", "--kind", "kumar"), "invalid choice: 'kumar'"),
        (("evaluate",), "the following arguments are required: DATASET"),
        (("ablate", "DATASET"), "the following arguments are required: --out"),
        (("paint",), "invalid choice: 'paint'"),
        ((), "the following arguments are required: COMMAND"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message, capsys):
    assert message in refused_by_parser(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "SLIDES", "--image-size", 31), "image size 31: expected 32 to 256 pixels"),
        (("train", "SLIDES", "--out", "OUT", *TINY, "--split", 1), "slides: official split 1 needs PanNuke's three"),
        (("sample", "SLIDES", "--tiles", 1), "Masks: found a fold there"),
        (("sample", "OUT", "--tiles", 0), "num_tiles 0"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(slides, tmp_path, arguments, message, capsys):
    prepare(slides, 32, progress=False)  # so that no bar is shown
    before = (slides / "Images/images.npy").stat().st_mtime_ns
    places = {"SLIDES": slides, "OUT": tmp_path / "out"}
    assert call(*(places.get(argument, argument) for argument in arguments)) == 2
    assert_one_line(capsys, message)
    assert list(tmp_path.iterdir()) == []
    assert (slides / "Images/images.npy").stat().st_mtime_ns == before


def test_pictures_become_files_and_a_bad_one_is_told(tmp_path, capsys):
    image = sample_field(0)[0][:96, :128]
    write_image(tmp_path / "in/a b.png", image)
    (tmp_path / "in/c.png").write_bytes(b"no picture")
    asked = ("predict", tmp_path / "in", "--out", tmp_path / "out", "--um-per-px", "0.25", "--save", "csv")
    for status in ("done", "kept"):
        assert call(*asked) == 1
        captured = capsys.readouterr()
        (warning,) = captured.err.splitlines()  # and no bar, for this is no terminal
        assert warning.startswith(f"warning: {tmp_path / 'in/c.png'}: expected a picture or a slide, found no format")
        found, last = captured.out.splitlines()
        assert re.fullmatch(rf"{tmp_path / 'in/a b.png'}: \d+ nuclei, 0\.00\d+ mm2 of tissue \({status}\)", found)
        assert last.startswith(f"1 of 2 done; the results are in {tmp_path / 'out'}, and ")
    (tmp_path / "in/c.png").unlink()
    assert call(*asked) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("1 done; the results are in ")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--um-per-px", "40"), "expected 0.1 to 1.0 micrometres a pixel"),
        (("--engine", "spark"), "engine: expected threads, dask or the address of a scheduler"),
        (("--device", "nonsense"), "device nonsense: expected one that PyTorch can use here"),
        (("--model", "nowhere.onnx"), "nowhere.onnx: there are no such weights"),
    ],
)
def test_what_no_picture_can_be_predicted_with(tmp_path, capsys, more, message):
    write_image(tmp_path / "a.png", sample_field(0)[0][:64, :64])
    assert call("predict", tmp_path / "a.png", "--out", tmp_path / "out", *more) == 2
    assert_one_line(capsys, message)
    assert not (tmp_path / "out").exists()


def test_a_download_becomes_a_fold(tmp_path, capsys):
    ids = np.zeros((512, 512), np.uint16)
    ids[20:60, 20:60] = 9
    source = write_nuinsseg(tmp_path / "set", {"human bladder": {"h_1": (noise(512), ids)}})
    assert call("convert", source, tmp_path / "out", "--kind", "nuinsseg") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    (fold,) = find_folds(tmp_path / "out")
    assert (fold.tissues.tolist(), fold.read(0, 1).nuclei.tolist()) == (["human bladder"], [[1, 0, 0, 0, 0]])


def test_pictures_and_masks_become_a_fold(tmp_path, capsys):
    ids = np.zeros((80, 90), np.uint8)
    ids[20:60, 20:60] = 9
    for name in ("a_1", "a_2", "b_1"):
        write_image(tmp_path / f"images/{name}.png", noise(90)[:80])
        write_image(tmp_path / f"masks/{name}.png", ids)
        write_image(tmp_path / f"kinds/{name}.png", (ids > 0) * np.uint8(2))
    options = ("--kinds", tmp_path / "kinds", "--kind-names", "one,two", "--group-pattern", "^.", "--tissue", "Colon")
    places = [tmp_path / name for name in ("images", "masks", "out")]
    assert call("convert", "--kind", "pairs", *places, "--um-per-px", "0.5", *options) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    (fold,) = find_folds(tmp_path / "out")
    assert (fold.groups.tolist(), fold.tissues.tolist()) == (["a", "a", "b"], ["Colon"] * 3)
    assert fold.extents.tolist() == [[160, 180]] * 3
    assert fold.read(0, 3).nuclei.tolist() == [[0, 1, 0, 0, 0]] * 3
    assert np.load(tmp_path / "out/Images/kinds.npy").tolist() == ["one", "two", "Unused", "Unused", "Unused"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--kind", "pairs", "IMAGES", "OUT", "--um-per-px", "0.25"),
            "pairs: expected IMAGES MASKS OUT, found 2 folders",
        ),
        (("--kind", "pairs", "IMAGES", "MASKS", "OUT"), "expected --um-per-px, found none"),
        (("--kind", "consep", "IMAGES", "MASKS", "OUT"), "consep: expected SOURCE OUT, found 3 folders"),
        (("--kind", "consep", "SOURCE", "OUT", "--um-per-px", "0.25"), "expected no option of `pairs`, found one"),
        (("--kind", "consep", "SOURCE", "OUT", "--tissue", "Colon"), "expected no option of `pairs`, found one"),
        (("--kind", "pairs", "IMAGES", "MASKS", "OUT", "--um-per-px", "40"), "expected 0.1 to 1.0 micrometres a pixel"),
    ],
)
def test_folders_and_options_that_do_not_fit_a_kind(arguments, message, capsys):
    assert call("convert", *arguments) == 2
    assert_one_line(capsys, message)


@pytest.mark.parametrize("kind", DOWNLOADS)
def test_a_download_that_is_not_there(kind, tmp_path, capsys):
    assert call("convert", tmp_path / "missing", tmp_path / "out", "--kind", kind) == 2
    assert_one_line(capsys, str(tmp_path / "missing"), "found no such folder")
    assert list(tmp_path.iterdir()) == []


WRONG = ("missing", "a file", "a picture", "an empty folder", "an unfinished run", "a data set", "models")
# Every place of every command: there everything of `WRONG` is given that does not fit.
PLACES = {
    ("prepare", "X"): {"a data set"},
    ("convert", "X", "new", "--kind", "monuseg"): set(),
    ("download", "new", "--accept-licence", "--from", "X"): {"a data set"},
    ("sample", "X", "--tiles", "1"): {"missing", "an empty folder", "an unfinished run", "models"},
    ("train", "X", "--out", "new", *TINY): {"a data set"},
    ("train", "SLIDES", "--out", "X", *TINY): {"missing", "an empty folder", "a data set"},
    ("train", "SLIDES", "--out", "new", *TINY, "--init", "X"): set(),
    ("evaluate", "X", "SLIDES"): {"models"},
    ("evaluate", "RUN", "X"): {"a data set"},
    ("evaluate", "RUN", "--flips-and-turns", "X"): {"a data set"},
    ("explain", "X", "SLIDES"): set(),
    ("explain", "RUN", "X"): {"a data set"},
    ("explain", "RUN", "SLIDES", "--shuffled", "X"): set(),
    ("ablate", "X", "--out", "new", "--row", "report"): {"a data set"},
    ("publish", "X", "--project", "new"): set(),
    ("export", "--onnx", "new", "--int8", "X"): set(),
}


@pytest.mark.parametrize(
    ("command", "wrong"), [(command, wrong) for command, fits in PLACES.items() for wrong in WRONG if wrong not in fits]
)
def test_whatever_is_given_in_the_wrong_place_is_refused_in_one_line(
    command, wrong, slides, finished_run, exported, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    given = tmp_path / wrong
    if wrong == "a file":
        given.write_text("nothing of use", encoding="utf-8")
    elif wrong == "a picture":
        shutil.copyfile(ROOT / "figures" / "fig00_result.png", given)
    elif wrong == "an empty folder":
        given.mkdir()
    elif wrong == "an unfinished run":
        change_results(finished_run.copy(given), training={"status": "running"})
    elif wrong == "a data set":
        given = slides
    elif wrong == "models":
        given.mkdir()
        shutil.copyfile(exported, given / exported.name)
        write_json(given / "results.json", {"shipped": None, "runs": {}})
    places = {"X": given, "SLIDES": finished_run.dataset, "RUN": finished_run.folder}
    assert call(*(places.get(word, word) for word in command)) == 2
    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.strip() and "preparing" not in line]
    assert line.startswith("error: ")
    assert "Traceback" not in captured.out + captured.err
    assert (tmp_path / "new").exists() == (command[0] == "download")  # that the licence is accepted stays written


def test_weights_in_their_folder_are_scored_and_published(finished_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    # What takes a minute, and what `test_publish` and the whole way look at.
    monkeypatch.setattr(publish, "draw_figures", lambda *arguments: {"fig00_result.png": plt.figure(figsize=(1, 1))})
    monkeypatch.setattr(publish, "export_onnx", lambda weights, out: out.write_bytes(b"exported"))
    monkeypatch.setattr(publish, "to_integers", lambda content, tiles: content)
    run = finished_run.copy(tmp_path / "run")
    assert call("evaluate", run, finished_run.dataset) == 0
    assert call("publish", run, "--project", ".", "--ship") == 0
    assert call("evaluate", "models", finished_run.dataset) == 0
    assert call("publish", "models", "--project", ".") == 0
    shipped = json.loads(Path("models/results.json").read_text(encoding="utf-8"))["shipped"]
    (entry,) = shipped["evaluations"].values()
    assert (entry["part"], entry["times_scored"]) == ("validation", 1)
    capsys.readouterr()
    assert call("publish", "models", "--ship", "--project", ".") == 2
    assert_one_line(capsys, "--ship: expected the folder of a finished run, found models")


def test_run_that_was_never_scored_cannot_be_published(finished_run, tmp_path, capsys):
    assert call("publish", finished_run.copy(tmp_path / "run"), "--project", tmp_path / "project") == 2
    assert_one_line(capsys, "never scored", "python -m helpers evaluate")
    assert not (tmp_path / "project").exists()


def interrupting(error: BaseException):
    """Make a loader of modules in which every function raises."""

    class Module:
        def __getattr__(self, name):
            raise error

    return lambda module: Module()


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (OSError(28, "No space left"), 2)])
def test_interrupted_or_out_of_room(slides, monkeypatch, capsys, error, status):
    monkeypatch.setattr(commands, "_load", interrupting(error))
    assert call("prepare", slides) == status
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(
        {130: "interrupted; `download`, `predict`, `train` and", 2: "error: [Errno 28] No space left"}[status]
    )


def test_a_fault_of_the_code_is_not_hidden(slides, monkeypatch):
    monkeypatch.setattr(commands, "_load", interrupting(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        call("prepare", slides)


# Help.


def help_of(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--help"])
    assert stop.value.code == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("command", "cost"),
    [
        ("sample", "MB of disk"),
        ("convert", "MB of disk"),
        ("prepare", "MB of memory"),
        ("train", "minutes on two cores"),
        ("evaluate", "tiles a second"),
        ("explain", "one to two hours on two cores"),
        ("ablate", f"{sum(len(row.seeds) for row in ablation.ROWS.values())} runs of 20 epochs"),
        ("publish", "with figures"),
    ],
)
def test_help_of_every_command_says_what_it_does_and_costs(command, cost, capsys):
    text = help_of(capsys, command)
    assert cost in text.split("Cost: ")[1]
    assert f"usage: python -m helpers {command}" in text


# As a process of its own.


def python(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT, env=os.environ | {"PYTHONIOENCODING": "utf-8"}, capture_output=True, encoding="utf-8", timeout=600,
    )  # fmt: skip


def test_preparing_does_not_load_torch(slides):
    code = "import sys; from helpers.__main__ import main; status = main(sys.argv[1:]); print(status, *sys.modules)"
    done = python("-c", code, "prepare", slides, "--image-size", 40)
    said, modules = done.stdout.splitlines()
    assert said == f"slides: 8 tiles at 40 pixels, digest {prepare(slides, 40, progress=False).digest}"
    status, *loaded = modules.split()
    assert status == "0"
    assert "helpers.data.prepare" in loaded
    assert {"torch", "torchvision", "matplotlib", "pandas", "seaborn"} & set(loaded) == set()


def test_error_of_a_process(tmp_path):
    done = python("-m", "helpers", "prepare", tmp_path / "missing")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'missing'}: expected a folder")


def test_sample_fold_can_be_read(slides):
    (fold,) = find_folds(slides)
    assert (len(fold), fold.images.dtype) == (8, np.float64)
    assert fold.groups.tolist() == ["sample-3-000"] * 4 + ["sample-3-001"] * 4


def test_a_package_of_the_extras_that_is_missing_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "_load", interrupting(ModuleNotFoundError(name="pandas")))
    assert call("sample", tmp_path / "out") == 2
    assert_one_line(capsys, "needs pandas", "pip install 'nuclei-helpers[train]'")


def test_a_module_of_our_own_that_is_missing_is_no_wish_for_a_package(monkeypatch, tmp_path):
    monkeypatch.setattr(commands, "_load", interrupting(ModuleNotFoundError(name="helpers.report.nonsense")))
    with pytest.raises(ModuleNotFoundError):
        call("sample", tmp_path / "out")
