"""What was measured, as tables and in words: single nuclei, the ablation, and the benchmarks of speed and memory."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.config import PARTLY_ANNOTATED
from helpers.files import read_json
from helpers.paths import as_path
from helpers.report.tables import (
    MISSING,
    confusion_table,
    format_interval,
    format_number,
    kind_table,
    markdown_table,
)
from helpers.training.results import Evaluation

# Columns of single nuclei to keys of `instance_summary.summarize`.
NUCLEI_COLUMNS = {
    **{"PQ": "pq", "bPQ": "bpq", "mPQ": "mpq", "AJI": "aji", "AJI+": "aji_plus", "DQ": "dq", "SQ": "sq"},
    "detection F1": "detection_f1",
}
MEANS = ("PQ", "bPQ", "mPQ", "AJI", "detection F1")
NUCLEI = (
    "Panoptic quality (PQ = DQ x SQ) and the aggregated Jaccard index (AJI, AJI+) are means over images, with 95 % "
    "bootstrap intervals over groups of images. PQ counts nuclei invented in an image without any as 0; bPQ and mPQ "
    "are PanNuke's: means over tissues of the images with nuclei, mPQ over kinds. Detection pairs centroids within 12 "
    "pixels (3 um). Where a network does not part nuclei that touch, each piece of its mask is one."
)
KINDS = (
    "Kinds, of nuclei paired so: F1 is HoVer-Net's, in which a nucleus that is missed, invented or of another kind "
    "counts against it. `found` nuclei have a pair, and of these `named rightly` is the share whose kind is right."
)
PARTLY = (
    "A set that marks some kinds alone gives no more than recall, and of the nuclei that were found whether they are "
    "named rightly: what is found beside them is no mistake."
)

VERDICTS = {
    "gain": "Better, by more than the choice of slides explains",
    "loss": "Worse, by more than the choice of slides explains",
    "noise": "Noise",
}


def nuclei_table(entries: dict[str, Evaluation]) -> pd.DataFrame:
    """Show how well nuclei are told apart and found, a row for each entry whose nuclei are told apart in truth.

    Where a set marks some kinds alone, what is found beside them is no mistake, so only recall is shown.

    Args:
        entries: title of the row to an evaluation.
    """
    rows = {}
    for title, entry in entries.items():
        if nuclei := entry.get("nuclei"):
            scores = nuclei["scores"]
            rows[title] = {"images": scores["n"], "nuclei": format_number(nuclei["true"])}
            for column, key in NUCLEI_COLUMNS.items():
                whole = entry["name"] not in PARTLY_ANNOTATED
                value = _with_interval(scores.get(key), nuclei["intervals"].get(key))
                rows[title][column] = value if whole else MISSING
            rows[title]["recall"] = format_number(scores["detection_recall"])
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("set")


def _with_interval(value: float | None, interval: list[float] | None) -> str:
    """Show a score with its interval, where there is one."""
    told = format_interval(interval)
    return format_number(value) if told == MISSING else f"{format_number(value)} ({told})"


def nuclei_part(entries: dict[str, Evaluation]) -> list[str]:
    """Write single nuclei and their kinds as paragraphs of Markdown; none where nothing was scored.

    Args:
        entries: title to an evaluation, as from `comparison.nuclei_entries`.
    """
    if not entries:
        return []
    parts = ["## Single nuclei", NUCLEI, markdown_table(nuclei_table(entries))]
    if len(table := kind_table(entries)):
        parts += [KINDS, markdown_table(table)]
    for title, entry in entries.items():
        if entry["nuclei"]["kinds"]:
            parts += [f"Confusion of kinds, {title}:", markdown_table(confusion_table(entry["nuclei"]))]
    return parts + ([PARTLY] if any(entry["name"] in PARTLY_ANNOTATED for entry in entries.values()) else [])


def describe_nuclei(entry: Evaluation) -> str:
    """Say how well single nuclei are told apart, found and named, in one to three lines.

    Args:
        entry: an evaluation of a set whose nuclei are told apart.
    """
    nuclei, partly = entry["nuclei"], entry["name"] in PARTLY_ANNOTATED
    scores, kinds = nuclei["scores"], nuclei["kinds"]
    told = ", ".join(
        f"{name} {_with_interval(scores[key], nuclei['intervals'][key])}"
        for name, key in (("PQ", "pq"), ("AJI", "aji"), ("F1 of detection", "detection_f1"))
    )
    lines = [
        f"Single nuclei: {told}, over {scores['n']:,} images with {nuclei['true']:,} nuclei; {nuclei['predicted']:,} "
        f"were predicted. PQ counts nuclei invented in an image without any as 0; over the {scores['n_bpq']:,} images "
        f"with nuclei, as a mean over tissues, it is {format_number(scores['bpq'])}."
    ]
    if partly:
        lines = [f"{format_number(scores['detection_recall'])} of {nuclei['true']:,} nuclei were found. {PARTLY}"]
    if kinds and not partly:
        there = [row for row in kinds["rows"] if row["true"]]
        each = ", ".join(f"{row['name']} {format_number(row['f1'])} (n = {row['true']:,})" for row in there)
        lines.append(f"F1 by kind, over {kinds['images']:,} images: {each}; mPQ {format_number(scores['mpq'])}.")
    if kinds and kinds["judged"]:
        lines.append(
            "Of nuclei that were found, the share whose kind is right: "
            f"{_with_interval(kinds['balanced_accuracy'], kinds.get('balanced_interval'))}, the mean over "
            f"{', '.join(kinds['judged'])}."
        )
    return "\n".join(lines)


def describe_means(entries: list[Evaluation]) -> str:
    """Say what several models reach on average, as PanNuke's protocol asks of its three splits.

    Args:
        entries: the evaluation of each.
    """
    values = {"Dice": [entry["predictors"]["model"]["scores"]["dice"] for entry in entries]}
    if all(entry.get("nuclei") for entry in entries):
        values |= {name: [entry["nuclei"]["scores"].get(NUCLEI_COLUMNS[name]) for entry in entries] for name in MEANS}
    told = [
        f"{name} {np.mean(found):.3f} (standard deviation {np.std(found, ddof=1):.3f})"
        for name, found in values.items()
        if not any(value is None or math.isnan(value) for value in found)
    ]
    return f"Means over {len(entries)} models: {', '.join(told) or 'none is defined'}."


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
    """Read `benchmarks.json` from the folder of models; an InputError without it.

    Returns:
        what was measured in one run on one machine, to its `date`, `environment` and `rows`.
    """
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
        for run in benchmarks.values()
        for row in run["rows"]
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("what")


def describe_benchmarks(benchmarks: dict) -> str:
    """Say in Markdown where and when each run was measured, and how many goals were met."""
    lines = []
    for name, run in benchmarks.items():
        machine, rows = run["environment"], run["rows"]
        packages = machine["packages"]
        lines.append(
            f"- {name[:1].upper()}{name[1:]}: {sum(row['met'] for row in rows)} of {len(rows)} goals met on "
            f"{run['date']}: {machine['processor']}, {machine['device']}, Python {machine['python']}, torch "
            f"{packages['torch']}, NumPy {packages['numpy']}, OpenCV {packages['opencv-python']}"
            + (f", beside other work on {load:.1f} cores." if (load := machine.get("load", 0)) > 0.5 else ".")
        )
    told = "Times are medians over rounds in which the two took turns; a slide or large picture is measured once."
    return "\n".join([*lines, "", told])


def _show(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.2f} {unit}" if value < 10 else f"{value:.1f} {unit}"
