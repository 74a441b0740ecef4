import csv
import errno

import numpy as np
import pytest

from helpers.inference.instances import FIELDS
from helpers.saving.nuclei_table import DECIMALS, summarise, write_nuclei


def make_nuclei(number: int) -> np.ndarray:
    nuclei = np.zeros(number, FIELDS)
    nuclei["id"] = np.arange(1, number + 1)
    nuclei["x"], nuclei["y"], nuclei["area_um2"] = 100_000.123456, 1 / 3, 24.0
    nuclei["kind"], nuclei["confidence"] = 'Plasma, "mature"', 0.98765
    nuclei["right"], nuclei["bottom"] = 2, 3
    return nuclei


def test_the_columns_are_those_of_predict():
    assert [*DECIMALS] == [name for name, _ in FIELDS]


def test_rows_are_rounded_to_what_they_mean_and_read_back(tmp_path):
    with write_nuclei(tmp_path / "nuclei.csv") as table:
        table.add(make_nuclei(2)[:1])
        table.add(make_nuclei(0))
        table.add(make_nuclei(2)[1:])
    lines = (tmp_path / "nuclei.csv").read_text(encoding="utf-8").splitlines()
    assert lines[1] == '1,100000.12,0.33,24.0,"Plasma, ""mature""",0.9876,0,0,2,3'
    with open(tmp_path / "nuclei.csv", newline="", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    assert [row["id"] for row in rows] == ["1", "2"]
    assert {row["kind"] for row in rows} == {'Plasma, "mature"'}


def test_without_nuclei_there_is_a_header(tmp_path):
    with write_nuclei(tmp_path / "nuclei.csv"):
        pass
    assert (tmp_path / "nuclei.csv").read_text(encoding="utf-8") == ",".join(DECIMALS) + "\n"


def test_what_is_interrupted_leaves_nothing(tmp_path):
    def interrupt():
        with write_nuclei(tmp_path / "nuclei.csv") as table:
            table.add(make_nuclei(3))
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        interrupt()
    assert [*tmp_path.iterdir()] == []


def test_nuclei_to_the_square_millimetre():
    rows = summarise({"Other": 0, "Epithelial": 250}, 0.5)
    assert [(row["kind"], row["nuclei"], row["share"], row["per_mm2"]) for row in rows] == [
        ("Epithelial", 250, 1.0, 500.0),
        ("Other", 0, 0.0, 0.0),
        ("all", 250, 1.0, 500.0),
    ]


def test_without_tissue_or_nuclei_nothing_is_divided():
    assert [row["per_mm2"] for row in summarise({"Other": 2}, 0.0)] == [None, None]
    assert summarise({}, 1.0) == [{"kind": "all", "nuclei": 0, "share": None, "per_mm2": 0.0}]
