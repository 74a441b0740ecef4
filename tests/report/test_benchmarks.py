"""What was measured, as a reader sees it."""

from pathlib import Path

from helpers.report.benchmarks import benchmark_table, describe_benchmarks, read_benchmarks

MADE = {
    "date": "2026-01-02",
    "environment": {
        "processor": "Some CPU", "device": "CPU, 2 threads (x86_64)", "python": "3.11.0",
        "packages": {"torch": "2.6.0", "numpy": "2.0.0", "opencv-python": None},
    },
    "rows": [
        {"what": "memory", "ours": 512.0, "theirs": 2100.0, "unit": "MB", "against": "loop", "goal": "", "met": True},
        {"what": "time", "ours": 1.234, "theirs": 12.34, "unit": "s", "against": "loop", "goal": "", "met": True},
        {"what": "other", "ours": 3200.0, "theirs": None, "unit": "MB", "against": "all", "goal": "3 GB", "met": False},
    ],
}  # fmt: skip


def test_table_by_hand():
    table = benchmark_table(MADE)
    assert table["ours"].tolist() == ["512 MB", "1.23 s", "3,200 MB"]
    assert table["theirs"].tolist() == ["2,100 MB", "12.3 s", "–"]
    assert table["met"].tolist() == ["yes", "yes", "no"]


def test_sentence():
    assert describe_benchmarks(MADE).startswith(
        "2 of 3 goals met on 2026-01-02: Some CPU, CPU, 2 threads (x86_64), Python"
    )


def test_what_is_committed_can_be_shown():
    benchmarks = read_benchmarks(Path(__file__).parents[2] / "models")
    assert len(benchmark_table(benchmarks)) == len(benchmarks["rows"]) >= 8
    assert "goals met on" in describe_benchmarks(benchmarks)
