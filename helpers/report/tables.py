"""Results as tables for a reader: plain DataFrames, numbers as text where a missing one is an en dash."""

from pathlib import Path

import pandas as pd

from helpers.config import CLASS_NAMES, PARTLY_ANNOTATED
from helpers.data.cache import Cache
from helpers.files import read_json
from helpers.paths import as_path
from helpers.report import references
from helpers.training.results import Evaluation, NucleiScores, Results

MISSING = "\N{EN DASH}"
PREDICTOR_NAMES = {
    "model": "U-Net (trained)",
    "averaged": "the same, averaged over flips and turns",
    "untrained": "the same network, untrained",
    "otsu_haematoxylin": "Otsu on haematoxylin",
    "darkest_fifth": "darkest fifth of the pixels",
}


def format_number(value: float | int | None, digits: int = 3) -> str:
    """Show a number with fixed decimals, a count without, and what is missing or not a number as an en dash.

    >>> format_number(0.12345), format_number(2656), format_number(None), format_number(float("nan"))
    ('0.123', '2,656', '–', '–')
    """
    if value is None or value != value:
        return MISSING
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def format_interval(interval: list[float] | tuple[float, float] | None) -> str:
    """Show an interval as "0.700 to 0.750", or an en dash."""
    ends = [MISSING] if interval is None else [format_number(end) for end in interval]
    return MISSING if MISSING in ends else " to ".join(ends)


def class_table(cache: Cache) -> pd.DataFrame:
    """Count nuclei and tiles by class: a row for each class, and their sum."""
    rows = [
        {"class": name, "nuclei": int(cache.nuclei[:, number].sum()), "tiles": int((cache.nuclei[:, number] > 0).sum())}
        for number, name in enumerate(CLASS_NAMES)
    ]
    total = int(cache.nuclei.sum())
    rows.append({"class": "all", "nuclei": total, "tiles": int((cache.nuclei.sum(1) > 0).sum())})
    for row in rows:
        row["share of nuclei"] = format_number(row["nuclei"] / total if total else None)
    return pd.DataFrame(rows).set_index("class")


def tissue_table(cache: Cache) -> pd.DataFrame:
    """Count tiles, nuclei of each class, empty and void tiles by tissue."""
    frame = pd.DataFrame(cache.nuclei, columns=list(CLASS_NAMES))
    frame.insert(0, "tiles", 1)
    frame["no nuclei"] = (cache.nuclei.sum(1) == 0).astype(int)
    frame["of them void"] = cache.void.astype(int)
    return frame.groupby(pd.Series(cache.tissues, name="tissue")).sum()


def predictor_table(entry: Evaluation) -> pd.DataFrame:
    """Show an evaluation, a row for each predictor: Dice with its interval, IoU, precision, recall, accuracies, n.

    Args:
        entry: as from `evaluation.evaluate`.
    """
    rows = {}
    for name in (name for name in PREDICTOR_NAMES if name in entry["predictors"]):
        predictor = entry["predictors"][name]
        scores = predictor["scores"]
        rows[PREDICTOR_NAMES[name]] = {
            "n": scores["n_with_nuclei"],
            "Dice": format_number(scores["dice"]),
            "95 % interval": format_interval(predictor["intervals"]["dice"]),
            "IoU": format_number(scores["iou"]),
            "precision": format_number(scores["precision"]),
            "recall": format_number(scores["recall"]),
            "background accuracy": format_number(scores["background_accuracy"]),
            "nuclei accuracy": format_number(scores["nuclei_accuracy"]),
            "accuracy": format_number(scores["accuracy"]),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def convention_table(scores: dict, without_void: dict | None = None) -> pd.DataFrame:
    """Show one predictor under the four conventions of `metrics.scores`, beside it void tiles left out if given."""
    conventions = {
        "mean over images with nuclei": ("", "n_with_nuclei"),
        "mean, images without nuclei count 0": ("_empty_zero", "n"),
        "mean, those predicted empty count 1": ("_empty_one", "n"),
        "pooled over all pixels": ("_pooled", "n"),
    }
    rows = {}
    for text, (key, n) in conventions.items():
        dice, iou = format_number(scores[f"dice{key}"]), format_number(scores[f"iou{key}"])
        rows[text] = {"n": scores[n], "Dice": dice, "IoU": iou}
        if without_void:
            rows[text]["Dice without void tiles"] = format_number(without_void[f"dice{key}"])
    return pd.DataFrame.from_dict(rows, orient="index")


def score_by_tissue_table(predictor: dict) -> pd.DataFrame:
    """Show Dice, precision and recall of one predictor by tissue, with n; no interval under five source images."""
    rows = {
        tissue: {
            "n": scores["n_with_nuclei"],
            "Dice": format_number(scores["dice"]),
            "95 % interval": format_interval(scores["interval"]),
            "precision": format_number(scores["precision"]),
            "recall": format_number(scores["recall"]),
        }
        for tissue, scores in predictor["by_tissue"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def score_by_nuclei_table(entry: Evaluation) -> pd.DataFrame:
    """Show the network's Dice, precision and recall by the number of nuclei in a tile, with the number of tiles."""
    rows = {
        nuclei: {"n": scores["n"]} | {key: format_number(scores[key]) for key in ("dice", "precision", "recall")}
        for nuclei, scores in entry["by_nuclei"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename(columns={"dice": "Dice"}).rename_axis("nuclei in a tile")


def kind_table(entries: dict[str, Evaluation]) -> pd.DataFrame:
    """Show how well kinds are told, a row for each kind of each entry; of sets that mark some kinds alone no F1.

    Args:
        entries: title of the rows to an evaluation.
    """
    rows = [
        {
            "set": title,
            "kind": row["name"] if row["told"] else f"{row['name']} (the model tells none)",
            "nuclei": format_number(row["true"]),
            **dict.fromkeys(("F1", "95 % interval", "precision", "recall"), MISSING),
            **({} if entry["name"] in PARTLY_ANNOTATED else _f1_of(row)),
            "found": format_number(row["paired"]),
            "named rightly": format_number(row["named_rightly"]),
        }
        for title, entry in entries.items()
        if (entry.get("nuclei") or {}).get("kinds")
        for row in entry["nuclei"]["kinds"]["rows"]
        if row["true"]
    ]
    return pd.DataFrame(rows).set_index("set") if rows else pd.DataFrame()


def _f1_of(row: dict) -> dict[str, str]:
    return {
        "F1": format_number(row["f1"]),
        "95 % interval": format_interval(row["interval"]),
        "precision": format_number(row["precision"]),
        "recall": format_number(row["recall"]),
    }


def confusion_table(nuclei: NucleiScores) -> pd.DataFrame:
    """Show which kinds are taken for which: rows are true kinds, columns predicted ones, beside nuclei without a pair.

    Args:
        nuclei: of an evaluation whose kinds are known.
    """
    kinds = nuclei["kinds"]
    table = pd.DataFrame(kinds["confusion"], [*kinds["names"], "invented"], [*kinds["names"], "missed"])
    there = table.loc[:, (table != 0).any()].loc[(table != 0).any(axis=1)].map(format_number)
    if "missed" in there and "invented" in there.index:
        there.loc["invented", "missed"] = MISSING
    return there.rename_axis("true kind, columns: as predicted")


def markdown_table(frame: pd.DataFrame) -> str:
    """Write a table of texts as Markdown, its index first."""
    lines = [[frame.index.name or "", *frame.columns], ["---"] * (len(frame.columns) + 1)]
    lines += [[str(name), *map(str, row)] for name, row in zip(frame.index, frame.to_numpy(), strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary_table(runs: dict[str, Results]) -> pd.DataFrame:
    """Set what the course report gives beside runs: validation at the network's size, as the report measured.

    Args:
        runs: column title to a run's `results.json`.
    """
    theirs = references.RESULTS
    columns = {
        "course report": {
            "Dice, best epoch": theirs["best_dice"],
            "Dice, last epoch": theirs["final_dice"],
            "IoU, best epoch": theirs["best_iou"],
            "IoU, last epoch": theirs["final_iou"],
            "Dice that this IoU means": _dice_of(theirs["best_iou"]),
            "Dice over all pixels": None,
            "background accuracy": theirs["background_accuracy"],
            "nuclei accuracy": theirs["nuclei_accuracy"],
            "overall accuracy": theirs["accuracy"],
            "best epoch": theirs["best_epoch"],
            "parameters": references.PARAMETERS,
        }
    }
    for title, run in runs.items():
        best, last = run["training"]["best"], run["training"]["last"]
        columns[title] = {
            "Dice, best epoch": best["val_dice"],
            "Dice, last epoch": last["val_dice"],
            "IoU, best epoch": best["val_iou"],
            "IoU, last epoch": last["val_iou"],
            "Dice that this IoU means": None,
            "Dice over all pixels": best["val_dice_pooled"],
            "background accuracy": best["val_background_accuracy"],
            "nuclei accuracy": best["val_nuclei_accuracy"],
            "overall accuracy": best["val_accuracy"],
            "best epoch": run["training"]["best_epoch"],
            "parameters": run["model"]["parameters"],
        }
    return pd.DataFrame({title: pd.Series(rows, dtype=object).map(format_number) for title, rows in columns.items()})


def read_reported(models: Path) -> tuple[dict, pd.DataFrame]:
    """Read the published results and history.

    Args:
        models: the folder that `publish` wrote.

    Returns:
        what `results.json` holds, and the history with a row for each run and epoch.

    Raises:
        InputError: nothing was published there.
    """
    return read_json(as_path(models) / "results.json"), pd.read_csv(
        as_path(models) / "history.csv", index_col=["run", "epoch"]
    )


def _dice_of(iou: float) -> float:
    """Give the Dice that an IoU over the same pixels means."""
    return 2 * iou / (1 + iou)
