"""Ablation and benchmarks, as a reader sees them."""

from pathlib import Path

import pytest
from scored_nuclei import nuclei_scores

from helpers.report.run_tables import (
    NUCLEI,
    PARTLY,
    ablation_table,
    benchmark_table,
    describe_ablation,
    describe_benchmarks,
    describe_means,
    describe_nuclei,
    nuclei_part,
    nuclei_table,
    read_benchmarks,
)
from helpers.report.tables import MISSING


def row(**changes: object) -> dict:
    """Give a row as `ablation.json` holds it."""
    made = {
        "changed": "labels majority", "compared_with": "first", "seeds": [0], "mean": 0.78125, "spread": None,
        "n": 1234, "difference": 0.0125, "interval": [0.004, 0.02], "noise": False,
        "parameters": 7_179_405, "seconds": 630.0,
    }  # fmt: skip
    return made | changes


def test_table_by_hand():
    first = row(compared_with=None, seeds=[0, 1, 2], spread=0.0061, difference=None, interval=None, noise=None)
    table = ablation_table({"rows": {"first": first, "second": row()}})
    assert table.loc["first"].to_dict() == {
        "changed": "labels majority",
        "compared with": MISSING,
        "n": 1234,
        "seeds": 3,
        "Dice": "0.781",
        "spread": "0.006",
        "difference": MISSING,
        "95 % interval": MISSING,
        "verdict": MISSING,
        "parameters": "7,179,405",
        "minutes": "10.5",
    }
    second = table.loc["second"].to_dict()
    assert (second["seeds"], second["spread"], second["compared with"]) == (1, MISSING, "first")
    assert (second["difference"], second["95 % interval"], second["verdict"]) == ("+0.013", "0.004 to 0.020", "gain")


@pytest.mark.parametrize(
    ("values", "difference", "verdict"),
    [
        ({"difference": -0.02, "interval": [-0.03, -0.01], "noise": False}, "-0.020", "loss"),
        ({"difference": 0.002, "interval": [-0.01, 0.014], "noise": True}, "+0.002", "noise"),
        ({"difference": -0.002, "interval": [-0.01, 0.006], "noise": True}, "-0.002", "noise"),
        ({"difference": 0.3, "interval": [None, None], "noise": None}, "+0.300", MISSING),  # one source image
    ],
)
def test_verdicts(values, difference, verdict):
    found = ablation_table({"rows": {"any": row(**values)}}).loc["any"]
    assert (found["difference"], found["verdict"]) == (difference, verdict)


def test_rows_stay_in_their_order():
    table = ablation_table({"rows": {name: row() for name in ("zebra", "ant", "moth")}})
    assert table.index.tolist() == ["zebra", "ant", "moth"]


def test_undefined_dice_is_a_dash():
    found = ablation_table({"rows": {"any": row(mean=None, difference=None, interval=None, noise=None)}}).loc["any"]
    assert (found["Dice"], found["verdict"]) == (MISSING, MISSING)


def test_words_by_hand():
    first = row(compared_with=None, spread=0.0061, difference=None, interval=None, noise=None)
    worse = row(difference=-0.02, interval=[-0.03, -0.01], compared_with="better")
    alike = row(difference=0.002, noise=True, spread=0.0124)
    told = describe_ablation({"rows": {"first": first} | {"better": row(), "worse": worse, "alike": alike}})
    assert told.splitlines() == [
        "- Better, by more than the choice of slides explains: `better` (+0.013 against `first`).",
        "- Worse, by more than the choice of slides explains: `worse` (-0.020 against `better`).",
        "- Noise: `alike` (+0.002 against `first`).",
        "- Runs that differ in nothing but the seed lie up to 0.012 apart. The intervals know nothing of that: a "
        "smaller difference between single runs may be chance.",
    ]


RUN = {
    "date": "2026-01-02",
    "environment": {
        "processor": "Some CPU", "device": "CPU, 2 threads (x86_64)", "python": "3.11.0",
        "packages": {"torch": "2.6.0", "numpy": "2.0.0", "opencv-python": None},
    },
    "rows": [
        {"what": "memory", "ours": 512.0, "theirs": 2100.0, "unit": "MB", "against": "loop", "goal": "", "met": True},
        {"what": "time", "ours": 1.234, "theirs": 12.34, "unit": "s", "against": "loop", "goal": "", "met": True},
    ],
}  # fmt: skip
OTHER = {"what": "other", "ours": 3200.0, "theirs": None, "unit": "MB", "against": "all", "goal": "3 GB", "met": False}
MADE = {"preparing": RUN, "predicting": RUN | {"date": "2026-01-03", "rows": [OTHER]}}


def test_benchmarks_by_hand():
    table = benchmark_table(MADE)
    assert table["ours"].tolist() == ["512 MB", "1.23 s", "3,200 MB"]
    assert table["theirs"].tolist() == ["2,100 MB", "12.3 s", "–"]
    assert table["met"].tolist() == ["yes", "yes", "no"]


def test_sentence_on_benchmarks():
    first, second, *_ = describe_benchmarks(MADE).splitlines()
    assert first.startswith("- Preparing: 2 of 2 goals met on 2026-01-02: Some CPU, CPU, 2 threads (x86_64), Python")
    assert second.startswith("- Predicting: 0 of 1 goals met on 2026-01-03: Some CPU")


@pytest.mark.parametrize(
    ("load", "told"), [(0.4, "OpenCV None."), (1.62, "OpenCV None, beside other work on 1.6 cores.")]
)
def test_a_busy_machine_is_told(load, told):
    run = RUN | {"environment": RUN["environment"] | {"load": load}}
    assert describe_benchmarks({"any": run}).splitlines()[0].endswith(told)


def test_what_is_committed_can_be_shown():
    benchmarks = read_benchmarks(Path(__file__).parents[2] / "models")
    assert len(benchmark_table(benchmarks)) == sum(len(run["rows"]) for run in benchmarks.values()) >= 15
    assert "goals met on" in describe_benchmarks(benchmarks)


# Single nuclei.


def scored(name: str = "own", **nuclei: object) -> dict:
    return {"name": name, "nuclei": nuclei_scores(**nuclei)}


def test_table_of_single_nuclei():
    table = nuclei_table({"own": scored(), "small": scored(kinds=False, intervals=False), "old": {"name": "old"}})
    assert table.loc["own"].to_dict() == {
        **{"images": 14, "nuclei": "1,234", "PQ": "0.600 (0.500 to 0.700)", "bPQ": "0.630", "mPQ": "0.500"},
        **{"AJI": "0.610 (0.510 to 0.710)", "AJI+": "0.620", "DQ": "0.750", "SQ": "0.800"},
        **{"detection F1": "0.745 (0.645 to 0.845)", "recall": "0.800"},
    }
    assert table.loc["small", ["PQ", "mPQ"]].tolist() == ["0.600", MISSING]
    assert table.index.tolist() == ["own", "small"]


def test_of_a_set_that_marks_some_kinds_alone_recall_is_told():
    row = nuclei_table({"monusac": scored("monusac")}).loc["monusac"].to_dict()
    assert (row.pop("images"), row.pop("nuclei"), row.pop("recall")) == (14, "1,234", "0.800")
    assert set(row.values()) == {MISSING}
    assert describe_nuclei(scored("monusac")).splitlines() == [
        f"0.800 of 1,234 nuclei were found. {PARTLY}",
        "Of nuclei that were found, the share whose kind is right: 0.875, the mean over Epithelial, Inflammatory.",
    ]
    assert nuclei_part({"monusac": scored("monusac")})[-1] == PARTLY


def test_single_nuclei_in_words():
    assert describe_nuclei(scored()).splitlines() == [
        "Single nuclei: PQ 0.600 (0.500 to 0.700), AJI 0.610 (0.510 to 0.710), F1 of detection 0.745 (0.645 to 0.845), "
        "over 14 images with 1,234 nuclei; 1,300 were predicted. PQ counts nuclei invented in an image without any as "
        "0; over the 12 images with nuclei, as a mean over tissues, it is 0.630.",
        "F1 by kind, over 1 images: Epithelial 0.545 (n = 5), Inflammatory 0.667 (n = 4), Dead 0.000 (n = 1); "
        "mPQ 0.500.",
        "Of nuclei that were found, the share whose kind is right: 0.875, the mean over Epithelial, Inflammatory.",
    ]
    assert len(describe_nuclei(scored(kinds=False)).splitlines()) == 1
    invented = scored()
    invented["nuclei"]["kinds"]["rows"][2]["true"] = 0  # predicted somewhere, true nowhere
    assert "Dead" not in describe_nuclei(invented)


def test_part_of_a_page():
    title, explained, table, _, kinds, caption, confusion = nuclei_part({"own": scored()})
    assert (title, explained, caption) == ("## Single nuclei", NUCLEI, "Confusion of kinds, own:")
    assert "| own | 14 | 1,234 | 0.600 (0.500 to 0.700) |" in table
    assert "| own | Dead (the model tells none) | 1 | 0.000 |" in kinds
    assert "| Epithelial | 3 | 1 | 1 |" in confusion
    assert len(nuclei_part({"own": scored(kinds=False)})) == 3
    assert nuclei_part({}) == []


def test_means_over_models():
    entries = [
        scored(pq=pq) | {"predictors": {"model": {"scores": {"dice": dice}}}} for pq, dice in ((0.5, 0.8), (0.7, 0.82))
    ]
    told = describe_means(entries)
    assert told.startswith("Means over 2 models: Dice 0.810 (standard deviation 0.014), PQ 0.600 (standard deviation")
    assert "mPQ 0.500 (standard deviation 0.000)" in told
    entries[1]["nuclei"] = None
    assert "PQ" not in describe_means(entries)
    entries[1]["predictors"]["model"]["scores"]["dice"] = None
    assert describe_means(entries) == "Means over 2 models: none is defined."
