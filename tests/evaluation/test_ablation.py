"""The ablation: its ladder is data, its rows are runs, and what it writes can be computed again."""

import dataclasses
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from training.test_run import SmallNetwork

from helpers.config import RECIPES, Recipe
from helpers.data.prepare import prepare
from helpers.data.split import split_tiles
from helpers.errors import InputError
from helpers.evaluation import ablation
from helpers.evaluation.ablation import (
    ABLATION,
    LADDER,
    ROWS,
    STARTS,
    TILES,
    VARIANTS,
    Row,
    describe_change,
    read_counts,
    run_ablation,
)
from helpers.inference.batches import predict_tiles
from helpers.metrics import count_pixels, paired_bootstrap, scores
from helpers.model import count_parameters
from helpers.sample_tissue.sample import write_sample_fold
from helpers.training import checkpoints, comparisons
from helpers.training.checkpoints import load_checkpoint
from helpers.training.comparisons import NETWORK_NAMES
from helpers.training.results import BEST

CPU = torch.device("cpu")

# The ladder.


def test_first_row_is_the_reports_recipe_at_a_random_start():
    report = dataclasses.replace(RECIPES["report"], pretrained=False, stop_early=False)
    assert (report.epochs, report.image_size) == (20, 128)
    assert ROWS["report"].recipe == report
    assert ROWS["report"].compared_with is None


def test_last_step_is_strong():
    last = ROWS[list(LADDER)[-1]].recipe
    kept = {"name": "strong", "epochs": 20, "pretrained": False}
    assert last == dataclasses.replace(RECIPES["strong"], **kept)


def test_each_step_changes_the_one_before_it():
    assert len(LADDER) >= 8
    for before, name in zip(LADDER, list(LADDER)[1:], strict=False):
        assert ROWS[name].compared_with == before
        old, new = (dataclasses.asdict(ROWS[row].recipe) for row in (before, name))
        assert {field for field in new if old[field] != new[field]} == {"name", *LADDER[name]}


def test_variants_change_strong_in_one_thing():
    strong = dataclasses.asdict(ROWS["strong"].recipe)
    for name, changes in VARIANTS.items():
        recipe = dataclasses.asdict(ROWS[name].recipe)
        assert ROWS[name].compared_with == "strong"
        assert len(changes) == 1
        assert {field for field in recipe if recipe[field] != strong[field]} == {"name", *changes}


def test_every_row_costs_as_many_epochs_and_is_judged_on_the_same_tiles():
    for name, row in ROWS.items():
        recipe = row.recipe
        assert (recipe.name, recipe.epochs, recipe.image_size, recipe.stop_early) == (name, 20, 128, False)
        assert (recipe.seed, recipe.split_seed, recipe.pretrained) == (0, 0, name.endswith("imagenet"))
        assert row.seeds == ((0, 1, 2) if name in ("report", "strong", "smp-unet", "lite0", "lite0-imagenet") else (0,))
    assert {row.recipe.network for row in ROWS.values()} == set(NETWORK_NAMES) - {"lite0"}


def test_starts_change_one_thing():
    for name, (other, changes) in STARTS.items():
        recipe, before = (dataclasses.asdict(ROWS[row].recipe) for row in (name, other))
        assert ROWS[name].compared_with == other
        assert {field for field in recipe if recipe[field] != before[field]} == {"name", *changes}
    assert [other for other, _ in STARTS.values()] == ["strong", "strong", "lite0"]


def test_changes_in_words():
    before = Recipe("a", augmentation=("flips",))
    after = Recipe("b", augmentation=("flips", "scale", "elastic"), batch_size=16, learning_rate=2e-3, seed=3)
    assert describe_change(before, after) == "batch size 16, augmentation + scale + elastic, learning rate 0.002"
    assert describe_change(before, before) == ""


# Rows that take a second.

FIRST = Recipe(
    "first", image_size=32, epochs=1, batch_size=4, accumulation_steps=1, learning_rate=1e-2, pretrained=False
)
TINY_ROWS = {
    "first": Row(FIRST, None, (0, 1)),
    "second": Row(dataclasses.replace(FIRST, name="second", labels="majority"), "first"),
    "third": Row(dataclasses.replace(FIRST, name="third", network="smp-unet"), "first", (0, 1)),
}


class SmallByName(SmallNetwork):
    """Stands in for the real networks: one of another name has more weights."""

    def __init__(self, name="unet", *arguments, **more) -> None:
        super().__init__(name, *arguments, **more)
        if name != "unet":
            self.encoder.append(nn.Conv2d(4, 4, 1))


@pytest.fixture(scope="module", autouse=True)
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (comparisons, checkpoints):
            patch.setattr(module, "build_network", SmallByName)
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Iterator[Path]:
    """Forty sample tiles of ten slides, two of which validate."""
    folder = write_sample_fold(tmp_path_factory.mktemp("data") / "sample", num_tiles=40, dtype="uint8")
    yield folder
    shutil.rmtree(folder.parent)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch) -> None:
    monkeypatch.setattr(ablation, "ROWS", TINY_ROWS)  # the tests of the ladder have taken `ROWS` by its name


def run(dataset: Path, out: Path, *rows: str) -> tuple[dict, list[str]]:
    """Run on the CPU and in silence; return the ablation and the lines of the log."""
    lines: list[str] = []
    return run_ablation(dataset, out, rows or None, device=CPU, log=lines.append), lines


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory) -> Iterator[tuple[Path, dict, list[str]]]:
    """The whole ablation of the tiny rows; tests leave it as it is."""
    out = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ablation, "ROWS", TINY_ROWS)
        yield out, *run(dataset, out)
    shutil.rmtree(out.parent)


def test_what_an_ablation_leaves(finished, dataset):
    out, made, lines = finished
    runs = ["first-0", "first-1", "second-0", "third-0", "third-1"]
    assert sorted(path.name for path in out.iterdir()) == sorted([ABLATION, *runs])
    assert json.loads((out / ABLATION).read_text(encoding="utf-8")) == made
    assert made["data"] == {
        "name": "sample", "digest": prepare(dataset, 32, "majority", progress=False).digest, "truth": "majority"
    }  # fmt: skip
    assert list(made["rows"]) == ["first", "second", "third"]
    assert [line.split("  epoch")[0] for line in lines] == runs


def test_a_row_says_what_it_is(finished):
    _, made, _ = finished
    third = made["rows"]["third"]
    assert (third["changed"], third["compared_with"], third["seeds"]) == ("network smp-unet", "first", [0, 1])
    expected = dataclasses.asdict(TINY_ROWS["third"].recipe) | {"augmentation": ["flips"], "outputs": ["nuclei"]}
    assert third["recipe"] == expected
    assert third["parameters"] == count_parameters(SmallByName("smp-unet")) == made["rows"]["first"]["parameters"] + 20
    assert third["mean"] == pytest.approx(np.mean(third["dice"]))
    assert third["spread"] == pytest.approx(abs(third["dice"][0] - third["dice"][1]))
    assert third["seconds"] > 0
    assert third["device"].startswith("CPU")
    assert (made["rows"]["second"]["changed"], made["rows"]["second"]["spread"]) == ("labels majority", None)


def test_every_row_is_judged_against_majority_labels(finished, dataset):
    out, made, _ = finished
    truth = prepare(dataset, 32, "majority", progress=False)
    tiles = split_tiles(truth, 0).validation
    for name, row in TINY_ROWS.items():
        for seed, dice in zip(row.seeds, made["rows"][name]["dice"], strict=True):
            model, _ = load_checkpoint(out / f"{name}-{seed}" / BEST)
            predicted = predict_tiles(model, truth.images[tiles]) >= 0
            counts = count_pixels(predicted, truth.class_maps[tiles] > 0)
            kept, groups = read_counts(out / f"{name}-{seed}" / TILES)
            assert np.array_equal(kept, counts)
            assert groups.tolist() == truth.groups[tiles].tolist()
            assert dice == scores(counts)["dice"]
            assert made["rows"][name]["n"] == scores(counts)["n_with_nuclei"]
    # The run itself was judged on nearest labels, so that is another number.
    results = json.loads((out / "first-0" / "results.json").read_text(encoding="utf-8"))
    assert results["training"]["best"]["val_dice"] != made["rows"]["first"]["dice"][0]


def test_differences_are_paired_over_the_seeds_of_both(finished):
    out, made, _ = finished
    counts = {path.parent.name: read_counts(path) for path in out.glob(f"*/{TILES}")}
    first = made["rows"]["first"]
    assert (first["difference"], first["interval"], first["noise"]) == (None, None, None)
    second = made["rows"]["second"]  # of one seed: against the same seed of the first row
    expected = paired_bootstrap(counts["second-0"][0], counts["first-0"][0], counts["first-0"][1])
    assert (second["difference"], *second["interval"]) == pytest.approx(expected)
    assert second["difference"] == pytest.approx(second["dice"][0] - first["dice"][0])
    third = made["rows"]["third"]  # of two seeds, as the first
    assert third["difference"] == pytest.approx(third["mean"] - first["mean"])
    for row in (second, third):
        low, high = row["interval"]
        assert low <= row["difference"] <= high
        assert row["noise"] == (low <= 0 <= high)


def test_finished_rows_are_not_trained_again(finished, dataset):
    out, made, _ = finished
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again, lines = run(dataset, out)
    assert again == made
    assert all(line.endswith("finished after 1 epochs") for line in lines)
    assert len(lines) == 5
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_rows_one_at_a_time_make_the_same_table(finished, dataset, tmp_path):
    _, made, _ = finished
    alone, _ = run(dataset, tmp_path, "second")
    assert list(alone["rows"]) == ["second"]
    assert alone["rows"]["second"]["noise"] is None  # there is nothing to compare it with yet
    both, lines = run(dataset, tmp_path, "first")
    assert {line.split()[0] for line in lines} == {"first-0", "first-1"}

    def without_time(rows: dict) -> dict:
        return {name: {key: value for key, value in row.items() if key != "seconds"} for name, row in rows.items()}

    assert without_time(both["rows"]) == without_time({name: made["rows"][name] for name in ("first", "second")})
    shutil.rmtree(tmp_path)


def test_unknown_row(dataset, tmp_path):
    with pytest.raises(InputError, match="row fifth, fourth: expected names among first, second, third"):
        run(dataset, tmp_path / "out", "fourth", "first", "fifth")
    assert not (tmp_path / "out").exists()


def kept(finished: tuple, out: Path, **changes: object) -> None:
    """Write the finished ablation to another folder, with changes."""
    out.mkdir()
    (out / ABLATION).write_text(json.dumps(finished[1] | changes), encoding="utf-8")


def test_ablation_of_other_data_is_refused(finished, dataset, tmp_path):
    kept(finished, tmp_path / "out", data={"name": "other", "digest": "0" * 64, "truth": "majority"})
    with pytest.raises(InputError, match=r"ablation\.json: holds an ablation on other data; give a new folder"):
        run(dataset, tmp_path / "out", "first")


def test_rows_by_other_recipes_are_refused(finished, dataset, tmp_path, monkeypatch):
    kept(finished, tmp_path / "out")
    other = dataclasses.replace(TINY_ROWS["third"], recipe=dataclasses.replace(FIRST, name="third", dropout=0.5))
    monkeypatch.setattr(ablation, "ROWS", TINY_ROWS | {"third": other})
    with pytest.raises(InputError, match="row third was made by another recipe than today's; give a new folder"):
        run(dataset, tmp_path / "out", "first")


def test_one_source_image_tells_no_noise(monkeypatch, tmp_path):
    counts = np.array([[3, 1, 1, 4], [2, 2, 2, 3]])
    monkeypatch.setattr(ablation, "read_counts", lambda path: (counts, np.array(["one", "one"])))
    rows = {"a": {"compared_with": None, "seeds": [0]}, "b": {"compared_with": "a", "seeds": [0]}}
    ablation._compare(rows, tmp_path)
    assert (rows["b"]["difference"], rows["b"]["noise"]) == (0.0, None)
    assert all(map(math.isnan, rows["b"]["interval"]))


def test_tiles_without_source_images_stand_for_themselves(finished, dataset, tmp_path):
    run_folder = shutil.copytree(finished[0] / "first-0", tmp_path / "run")
    cache = dataclasses.replace(prepare(dataset, 32, "majority", progress=False), groups=None)
    ablation.judge_run(run_folder, cache, np.array([7, 3]), CPU)
    counts, groups = read_counts(run_folder / TILES)
    assert groups.tolist() == ["7", "3"]
    assert counts.sum(1).tolist() == [32 * 32] * 2
    shutil.rmtree(tmp_path)
