"""What `make benchmark` measured, for a reader."""

from pathlib import Path

import pandas as pd

from helpers.files import read_json
from helpers.report.tables import MISSING


def read_benchmarks(models: Path | str) -> dict:
    """Read `benchmarks.json` from the folder of models: `date`, `environment` and `rows`; an InputError without it."""
    return read_json(Path(models) / "benchmarks.json")


def benchmark_table(benchmarks: dict) -> pd.DataFrame:
    """Show each measurement beside what it was measured against, the goal, and whether it was met.

    Args:
        benchmarks: as from `read_benchmarks`.
    """
    rows = {
        row["what"]: {
            "ours": _show(row["ours"], row["unit"]),
            "against": row["against"],
            "theirs": MISSING if row["theirs"] is None else _show(row["theirs"], row["unit"]),
            "goal": row["goal"],
            "met": "yes" if row["met"] else "no",
        }
        for row in benchmarks["rows"]
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what")


def describe_benchmarks(benchmarks: dict) -> str:
    """Say in Markdown where and when it was measured, and how many goals were met."""
    machine, rows = benchmarks["environment"], benchmarks["rows"]
    packages = machine["packages"]
    return (
        f"{sum(row['met'] for row in rows)} of {len(rows)} goals met on {benchmarks['date']}: {machine['processor']}, "
        f"{machine['device']}, Python {machine['python']}, torch {packages['torch']}, NumPy {packages['numpy']}, "
        f"OpenCV {packages['opencv-python']}. Times are medians over rounds in which the two took turns."
    )


def _show(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.2f} {unit}" if value < 10 else f"{value:.1f} {unit}"
