"""What runs were measured for, as tables and in words: the ablation, and the benchmarks of speed and memory."""

from pathlib import Path

import pandas as pd

from helpers.files import read_json
from helpers.paths import as_path
from helpers.report.tables import MISSING, format_interval, format_number

VERDICTS = {
    "gain": "Better, by more than the choice of slides explains",
    "loss": "Worse, by more than the choice of slides explains",
    "noise": "Noise",
}


def ablation_table(ablation: dict) -> pd.DataFrame:
    """Show an ablation, a row for each recipe: its Dice, what its change is worth, and whether that is noise.

    Args:
        ablation: as from `ablation.run_ablation`.
    """
    rows = {}
    for name, row in ablation["rows"].items():
        difference = row["difference"]
        rows[name] = {
            "changed": row["changed"],
            "compared with": row["compared_with"] or MISSING,
            "n": row["n"],
            "seeds": len(row["seeds"]),
            "Dice": format_number(row["mean"]),
            "spread": format_number(row["spread"]),
            "difference": MISSING if difference is None else f"{difference:+.3f}",
            "95 % interval": format_interval(row["interval"]),
            "verdict": _verdict(row),
            "parameters": format_number(row["parameters"]),
            "minutes": format_number(row["seconds"] / 60, 1),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def describe_ablation(ablation: dict) -> str:
    """Say in Markdown which changes help, which hurt, which cannot be told apart.

    Args:
        ablation: as from `ablation.run_ablation`.
    """
    rows = ablation["rows"]
    lines = []
    for verdict, title in VERDICTS.items():
        named = [
            f"`{name}` ({row['difference']:+.3f} against `{row['compared_with']}`)"
            for name, row in rows.items()
            if _verdict(row) == verdict
        ]
        if named:
            lines.append(f"- {title}: {', '.join(named)}.")
    spreads = [row["spread"] for row in rows.values() if row["spread"] is not None]
    if spreads:
        lines.append(
            f"- Runs that differ in nothing but the seed lie up to {format_number(max(spreads))} apart. The intervals "
            "know nothing of that: a smaller difference between single runs may be chance."
        )
    return "\n".join(lines)


def _verdict(row: dict) -> str:
    if row["noise"] is None:
        return MISSING
    return "noise" if row["noise"] else "gain" if row["difference"] > 0 else "loss"


def read_benchmarks(models: Path | str) -> dict:
    """Read `benchmarks.json` from the folder of models: `date`, `environment` and `rows`; an InputError without it."""
    return read_json(as_path(models) / "benchmarks.json")


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
