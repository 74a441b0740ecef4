"""Tables for readers: counts by hand, three decimals, an en dash for what is not known."""

import copy
import math

import numpy as np
import pandas as pd
import pytest
from scored_nuclei import nuclei_scores
from tiny_run import make_cache

from helpers.errors import InputError
from helpers.evaluation.baselines import BASELINES
from helpers.files import write_csv, write_json
from helpers.metrics import scores
from helpers.report import references
from helpers.report.tables import (
    MISSING,
    PREDICTOR_NAMES,
    class_table,
    confusion_table,
    convention_table,
    format_interval,
    format_number,
    kind_table,
    markdown_table,
    predictor_table,
    read_reported,
    score_by_nuclei_table,
    score_by_tissue_table,
    summary_table,
    tissue_table,
)

# Two images with nuclei, of Dice 1 and 0.5, one without where 4 pixels are invented, one without where none is.
COUNTS = np.array([[10, 0, 0, 90], [5, 5, 5, 85], [0, 4, 0, 96], [0, 0, 0, 100]])


@pytest.fixture
def entry() -> dict:
    """An evaluation by hand; Otsu's images have no nuclei."""
    known = {"scores": scores(COUNTS), "intervals": {"dice": (0.5, 1.0)}}
    unknown = {"scores": scores(COUNTS[3:]), "intervals": {"dice": None}}
    return {"name": "made", "part": "all", "predictors": {"model": known, "otsu_haematoxylin": unknown}}


def test_missing_is_an_en_dash():
    assert MISSING == "–"
    assert [format_number(value) for value in (None, math.nan, np.nan, np.float32("nan"))] == [MISSING] * 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12349, "0.123"),
        (0, "0"),
        (0.0, "0.000"),
        (1.0, "1.000"),
        (19480839, "19,480,839"),
        (np.float64(0.5), "0.500"),
    ],
)
def test_numbers(value, text):
    assert format_number(value) == text


def test_digits():
    assert format_number(12.345, digits=1) == "12.3"


@pytest.mark.parametrize("ends", [(0.70049, 0.75), [0.70049, 0.75]])
def test_interval(ends):
    assert format_interval(ends) == "0.700 to 0.750"


@pytest.mark.parametrize("ends", [None, (math.nan, math.nan), [None, None]])
def test_interval_that_is_not_known(ends):
    assert format_interval(ends) == MISSING


def test_every_predictor_has_a_name():
    assert set(PREDICTOR_NAMES) == {"model", "averaged", "untrained", *BASELINES}
    assert len(set(PREDICTOR_NAMES.values())) == len(PREDICTOR_NAMES)


# The data.


@pytest.fixture
def cache():
    """Four tiles of three tissues: two with nuclei, one empty, one void."""
    nuclei = [[3, 1, 0, 0, 0], [0, 4, 0, 0, 2], [0] * 5, [0] * 5]
    return make_cache(nuclei, ["Skin", "Breast", "Skin", "Colon"], void=[False, False, False, True])


def test_nuclei_and_tiles_of_each_class(cache):
    table = class_table(cache)
    assert table.index.tolist() == ["Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial", "all"]
    assert table["nuclei"].tolist() == [3, 5, 0, 0, 2, 10]
    assert table["tiles"].tolist() == [1, 2, 0, 0, 1, 2]
    assert table["share of nuclei"].tolist() == ["0.300", "0.500", "0.000", "0.000", "0.200", "1.000"]


def test_no_nuclei_have_no_shares():
    table = class_table(make_cache([[0] * 5], ["Skin"]))
    assert table["nuclei"].tolist() == [0] * 6
    assert table["share of nuclei"].tolist() == [MISSING] * 6


def test_tiles_of_each_tissue(cache):
    table = tissue_table(cache)
    assert table.index.tolist() == ["Breast", "Colon", "Skin"]
    assert table["tiles"].tolist() == [1, 1, 2]
    assert table["Inflammatory"].tolist() == [4, 0, 1]
    assert table["Neoplastic"].tolist() == [0, 0, 3]
    assert table["no nuclei"].tolist() == [0, 1, 1]
    assert table["of them void"].tolist() == [0, 1, 0]


# The scores.


def test_predictors(entry):
    table = predictor_table(entry)
    assert table.index.tolist() == [PREDICTOR_NAMES["model"], PREDICTOR_NAMES["otsu_haematoxylin"]]
    assert table.iloc[0].to_dict() == {
        "n": 2,
        "Dice": "0.750",
        "95 % interval": "0.500 to 1.000",
        "IoU": "0.667",  # (1 + 1/3) / 2
        "precision": "0.625",  # 15 of 24
        "recall": "0.750",  # 15 of 20
        "background accuracy": "0.976",  # 371 of 380
        "nuclei accuracy": "0.750",
        "accuracy": "0.965",  # 386 of 400
    }
    assert table.iloc[1].to_dict() == {
        "n": 0,
        "Dice": MISSING,
        "95 % interval": MISSING,
        "IoU": MISSING,
        "precision": MISSING,
        "recall": MISSING,
        "background accuracy": "1.000",
        "nuclei accuracy": MISSING,
        "accuracy": "1.000",
    }


def test_predictors_as_the_file_holds_them(entry):
    stored = copy.deepcopy(entry)
    stored["predictors"]["model"]["intervals"]["dice"] = [0.5, 1.0]
    unknown = stored["predictors"]["otsu_haematoxylin"]["scores"]
    unknown |= {key: None for key, value in unknown.items() if value != value}
    assert predictor_table(stored).equals(predictor_table(entry))


def test_conventions(entry):
    table = convention_table(entry["predictors"]["model"]["scores"])
    assert table["n"].tolist() == [2, 4, 4, 4]
    # 1.5 over 2; over 4; with one for the image that is rightly empty over 4; 30 of 44 pixels.
    assert table["Dice"].tolist() == ["0.750", "0.375", "0.625", "0.682"]
    assert table["IoU"].tolist() == ["0.667", "0.333", "0.583", "0.517"]


def test_conventions_without_void_tiles(entry):
    whole = entry["predictors"]["model"]["scores"]
    table = convention_table(whole, scores(COUNTS[[0, 1, 3]]))
    assert table.columns.tolist() == ["n", "Dice", "IoU", "Dice without void tiles"]
    assert table["Dice without void tiles"].tolist() == [
        "0.750",
        "0.500",
        "0.833",
        "0.750",
    ]  # 1.5 over 2 and 3, 2.5 over 3, 30 of 40
    assert convention_table(whole, None).equals(convention_table(whole))


def test_tissues():
    predictor = {
        "by_tissue": {
            "Breast": scores(COUNTS[:2]) | {"interval": [0.5, 1.0]},
            "Skin": scores(COUNTS[3:]) | {"interval": None},
        }
    }
    table = score_by_tissue_table(predictor)
    assert table.loc["Breast"].tolist() == [2, "0.750", "0.500 to 1.000", "0.750", "0.750"]
    assert table.loc["Skin"].tolist() == [0, MISSING, MISSING, MISSING, MISSING]
    assert table.columns.tolist() == ["n", "Dice", "95 % interval", "precision", "recall"]


def test_summary_beside_the_course_report():
    best = {"val_dice": 0.75, "val_iou": 0.6, "val_dice_pooled": 0.7, "val_accuracy": 0.9}
    best |= {"val_background_accuracy": 0.95, "val_nuclei_accuracy": None}
    training = {"best": best, "last": best | {"val_dice": 0.5, "val_iou": 0.4}, "best_epoch": 3}
    table = summary_table({"control": {"training": training, "model": {"parameters": 7_000_000}}})
    assert list(table) == ["course report", "control"]
    theirs, ours = (table[column].to_dict() for column in table)
    assert (theirs["Dice, best epoch"], ours["Dice, best epoch"]) == ("0.679", "0.750")
    assert (theirs["IoU, last epoch"], ours["IoU, last epoch"]) == ("0.583", "0.400")  # 0.5825 rounded
    assert (theirs["nuclei accuracy"], ours["nuclei accuracy"]) == ("0.681", MISSING)
    assert (theirs["Dice over all pixels"], ours["Dice over all pixels"]) == (MISSING, "0.700")
    assert (theirs["best epoch"], ours["best epoch"]) == ("4", "3")
    assert (theirs["parameters"], ours["parameters"]) == (f"{references.PARAMETERS:,}", "7,000,000")
    assert theirs["Dice that this IoU means"] == "0.743"  # 2 * 0.5913 / 1.5913


def test_nuclei_in_a_tile():
    table = score_by_nuclei_table({"by_nuclei": {"0": scores(COUNTS[2:]), "1-3": scores(COUNTS[:2])}})
    assert table.loc["0"].tolist() == [2, MISSING, "0.000", MISSING]
    assert table.loc["1-3"].tolist() == [2, "0.750", "0.750", "0.750"]


def test_markdown():
    frame = pd.DataFrame({"n": [1, 2], "Dice": ["0.5", MISSING]}, index=pd.Index(["a", "b"], name="set"))
    assert markdown_table(frame) == "| set | n | Dice |\n| --- | --- | --- |\n| a | 1 | 0.5 |\n| b | 2 | – |"


# What was published.


def test_reported_results_and_history(tmp_path):
    rows = [{"run": "made-64", "epoch": 1, "val_dice": 0.5}, {"run": "made-64", "epoch": 2, "val_dice": math.nan}]
    write_json(tmp_path / "results.json", {"data": {"name": "made"}})
    write_csv(tmp_path / "history.csv", rows)
    results, history = read_reported(tmp_path)
    assert results == {"data": {"name": "made"}}
    assert history.index.names == ["run", "epoch"]
    made = history.loc["made-64"]
    assert made.index.tolist() == [1, 2]
    assert made.loc[1, "val_dice"] == 0.5
    assert math.isnan(made.loc[2, "val_dice"])


def test_nothing_was_published(tmp_path):
    with pytest.raises(InputError, match=r"results\.json: there is no such file"):
        read_reported(tmp_path)


def test_kinds_of_nuclei():
    entries = {"own": {"name": "own", "nuclei": nuclei_scores()}, "old": {"name": "old"}}
    table = kind_table(entries | {"alone": {"name": "alone", "nuclei": nuclei_scores(kinds=False)}})
    assert table.index.tolist() == ["own"] * 3
    assert table["kind"].tolist() == ["Epithelial", "Inflammatory", "Dead (the model tells none)"]
    assert table["nuclei"].tolist() == ["5", "4", "1"]
    # Epithelial: 2 * 3 / (2 * 3 + 2 * 1 taken for another + 2 * 1 of another + 1 missed).
    assert table["F1"].tolist() == ["0.545", "0.667", "0.000"]
    assert table["recall"].tolist() == ["0.600", "1.000", "0.000"]
    assert table["found"].tolist() == ["4", "4", "1"]
    assert table["named rightly"].tolist() == ["0.750", "1.000", "0.000"]
    assert len(kind_table({"old": {"name": "old", "nuclei": None}})) == 0


def test_of_a_set_that_marks_some_kinds_alone_no_f1_is_shown():
    table = kind_table({"external": {"name": "monusac", "nuclei": nuclei_scores()}})
    assert set(table[["F1", "95 % interval", "precision", "recall"]].to_numpy().ravel()) == {MISSING}
    assert table["named rightly"].tolist() == ["0.750", "1.000", "0.000"]


def test_confusion_of_kinds():
    table = confusion_table(nuclei_scores())
    assert table.columns.tolist() == ["Epithelial", "Inflammatory", "missed"]  # no nucleus is predicted dead
    assert table.loc["Epithelial"].tolist() == ["3", "1", "1"]
    assert table.loc["invented"].tolist() == ["0", "2", MISSING]
    assert table.loc["Dead"].tolist() == ["1", "0", "0"]
