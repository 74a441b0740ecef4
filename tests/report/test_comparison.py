"""Models beside each other: of the same masks alone, each under its own name, with n and intervals."""

import pytest
from scored_nuclei import nuclei_scores

from helpers.report.comparison import (
    SHIPPED,
    comparison_table,
    control_run,
    describe_start,
    headline_table,
    is_current,
    nuclei_entries,
    shipped_scores,
)
from helpers.report.references import KNOWN_SYSTEMS
from helpers.report.tables import MISSING


def entry(name: str, part: str, digest: str, dice: float, **more: float) -> dict:
    parts = {"model": dice, "otsu_haematoxylin": 0.5, "darkest_fifth": 0.4} | more
    predictors = {
        key: {"scores": {"dice": value, "n_with_nuclei": 14}, "intervals": {"dice": (value - 0.1, value + 0.1)}}
        for key, value in parts.items()
    }
    return {"name": name, "part": part, "digest": digest, "predictors": predictors}


def entries(masks: str, dice: float, **more: float) -> dict:
    return {
        "test": entry("monuseg-test", "all", f"{masks} test", dice + 0.05, **more),
        "own": entry("some-set", "validation", f"{masks} own", dice, **more),
    }


def run(recipe: str, evaluations: dict, start: str = "random") -> dict:
    return {
        "recipe": {"name": recipe, "image_size": 128},
        "model": {"parameters": 7_000_000, "encoder_start": start},
        "data": {"name": "some-set", "digest": "d1"},
        "evaluations": evaluations,
    }


@pytest.fixture
def reported() -> dict:
    """Shipped weights and a control on new masks, the shipped run and another on old ones."""
    return {
        "shipped": {"run": "best", "evaluations": entries("new", 0.8)},
        "runs": {
            "control": run("report", entries("new", 0.6)),
            "best": run("strong", entries("old", 0.7, averaged=0.75)),
            "other": run("strong", entries("old", 0.65), "best/best_model.pth"),
        },
    }


def test_the_shipped_model_stands_beside_runs_of_the_same_masks(reported):
    table = comparison_table(reported)
    assert table.columns.tolist() == ["parameters", "trained on", "validation (n = 14)", "monuseg-test (n = 14)"]
    rows = {name: list(row) for name, row in zip(table.index, table.to_numpy(), strict=True)}
    how = "`some-set` at 128 pixels; from random weights"
    assert list(rows)[:4] == [SHIPPED, "`control`", "Otsu on haematoxylin", "darkest fifth of the pixels"]
    assert rows[SHIPPED] == ["7,000,000", how, "0.800 (0.700 to 0.900)", "0.850 (0.750 to 0.950)"]
    assert rows["`control`"] == ["7,000,000", how, "0.600 (0.500 to 0.700)", "0.650 (0.550 to 0.750)"]
    assert rows["Otsu on haematoxylin"] == ["0", "nothing", "0.500 (0.400 to 0.600)", "0.500 (0.400 to 0.600)"]
    known = next(name for name in rows if name.startswith("CellViT"))
    assert rows[known][2:] == [MISSING, KNOWN_SYSTEMS[0].dice["monuseg-test"]]


def test_old_masks_have_a_table_of_their_own(reported):
    table = comparison_table(reported, current=False)
    assert table.index.tolist()[:3] == ["`best`", "`best`, averaged over flips and turns", "`other`"]
    assert table.loc["`best`, averaged over flips and turns", "validation (n = 14)"] == "0.750 (0.650 to 0.850)"
    assert "CellViT" not in " ".join(table.index)
    assert table.loc["`other`", "trained on"].endswith("from the weights of best/best_model.pth")
    reported["runs"] = {"best": run("strong", entries("new", 0.7))}
    assert comparison_table(reported, current=False).empty


def test_one_set_of_old_masks_makes_a_run_old(reported):
    kept = reported["runs"]["best"]["evaluations"]["test"]
    kept["digest"] = "new test"  # the masks of this set are as they were
    assert not is_current(reported["runs"]["best"], reported)
    assert "`best`" in comparison_table(reported, current=False).index


def test_a_run_scored_anew_stands_with_its_newest_scores(reported):
    old = reported["runs"]["other"]["evaluations"]
    new = {f"new {key}": value for key, value in entries("new", 0.7).items()}
    reported["runs"]["other"]["evaluations"] = old | new
    assert comparison_table(reported).loc["`other`", "validation (n = 14)"].startswith("0.700")
    assert "`other`" not in comparison_table(reported, current=False).index


def test_the_control_is_of_the_same_masks_and_no_control_of_maps(reported):
    reported["runs"]["later"] = run("report", entries("old", 0.9))
    reported["runs"]["shuffled"] = run("report", entries("new", 0.9))
    reported["runs"]["shuffled"]["recipe"]["shuffled_masks"] = True
    assert control_run(reported)[0] == "control"


def test_a_set_that_the_shipped_weights_were_not_scored_on_counts_as_current(reported):
    reported["runs"]["control"]["evaluations"]["more"] = entry("elsewhere", "all", "x", 0.3)
    assert is_current(reported["runs"]["control"], reported)
    assert comparison_table(reported).loc[SHIPPED, "elsewhere (n = 14)"] == MISSING


def test_headline_has_four_rows(reported):
    table = headline_table(reported)
    assert table.index.tolist() == [
        SHIPPED, "the report's recipe (control)", "Otsu on haematoxylin", "darkest fifth of the pixels",
    ]  # fmt: skip
    assert table.columns.tolist() == ["validation (n = 14)", "monuseg-test (n = 14)"]


def test_without_a_shipped_model_all_runs_are_compared(reported):
    reported["shipped"] = None
    assert shipped_scores(reported) == {}
    assert comparison_table(reported).index.tolist()[:2] == ["`control`", "`best`"]
    assert comparison_table({"shipped": None, "runs": {}}).empty


def test_starts():
    told = {start: describe_start(run("any", {}, start)) for start in ("random", "imagenet", "strong/best_model.pth")}
    assert list(told.values()) == ["random weights", "an ImageNet encoder", "the weights of strong/best_model.pth"]


def test_single_nuclei_of_the_shipped_weights_come_first(reported):
    assert nuclei_entries(reported) == {}
    own = reported["shipped"]["evaluations"]["own"] | {"nuclei": nuclei_scores()}
    reported["shipped"]["evaluations"]["own"] = own
    control = reported["runs"]["control"]["evaluations"]
    control["test"] |= {"nuclei": nuclei_scores(kinds=False)}
    reported["runs"]["other"]["evaluations"]["own"] |= {"nuclei": nuclei_scores()}  # of old masks
    assert list(nuclei_entries(reported)) == ["shipped model, validation", "`control`, monuseg-test"]
    assert list(nuclei_entries(reported, runs=False)) == ["shipped model, validation"]
    assert list(nuclei_entries(reported | {"shipped": None})) == ["`control`, monuseg-test", "`other`, validation"]


def test_no_dice_is_shown_of_a_set_that_marks_some_kinds_alone(reported):
    partly = entry("monusac", "all", "m", 0.3) | {"nuclei": nuclei_scores()}
    reported["shipped"]["evaluations"]["monusac"] = partly
    assert "monusac" not in shipped_scores(reported)
    assert "monusac" not in comparison_table(reported).to_string()
    assert list(nuclei_entries(reported)) == ["shipped model, monusac"]
