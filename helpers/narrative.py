"""What published results say in words, so that no number in the report's prose is typed by hand."""

from collections import Counter

from helpers import course_report
from helpers.baselines import BASELINES
from helpers.config import GOALS
from helpers.tables import PREDICTOR_NAMES, comparison_table, describe_start, format_number, markdown_table


def headline(reported: dict) -> str:
    """Say in Markdown what every published run reached, beside no learning and known systems, and which goals it met.

    Args:
        reported: as `models/results.json` holds it.
    """
    lines = [
        "Dice, mean over images with nuclei, with 95 % bootstrap intervals over source images:",
        "",
        markdown_table(comparison_table(reported)),
        "",
    ]
    for name, run in reported["runs"].items():
        entries = list(run["evaluations"].values())
        goals = GOALS.get((run["recipe"]["name"], run["recipe"]["image_size"]), {})
        goal = {entry["name"]: goals.get(entry["name"], course_report.DICE_GOAL) for entry in entries}
        verdicts = [
            f"{'meets' if _dice(entry, 'model') >= goal[entry['name']] else 'misses'} the goal of "
            f"{goal[entry['name']]:.2f} on {_where(entry)}"
            for entry in entries
        ]
        worse = sum(_dice(entry, "model") < _dice(entry, _best_baseline(entry)) for entry in entries)
        lost = f" On {worse} of them it loses to a method that learns nothing." if worse else ""
        lines.append(f"- `{name}`, from {describe_start(run)}: {'; '.join(verdicts)}.{lost}")
    return "\n".join([*lines, "", describe_scorings(reported)])


def describe_scorings(reported: dict) -> str:
    """Say how often each test set was scored, over all published runs: every time is a chance to choose by it."""
    times = Counter()
    for run in reported["runs"].values():
        times.update({entry["name"]: entry["times_scored"] for entry in _tests(run)})
    told = ", ".join(f"`{name}` {count}" for name, count in times.items()) or "none"
    return f"Times that each test set was scored, over all runs: {told}."


def describe_training(results: dict) -> str:
    """Say in Markdown which epoch was the best, what early stopping would have kept, and what the run cost."""
    training, patience = results["training"], results["recipe"]["early_stopping_patience"]
    stop, kept = training["early_stopping_epoch"], training["early_stopping_best_epoch"]
    early = (
        f"never sets in within {training['epochs']} epochs, so both endings are the same here"
        if stop is None
        else f"would have ended the run after epoch {stop} and kept epoch {kept}"
    )
    return (
        f"Best epoch: {training['best_epoch']} of {training['epochs']}, validation Dice "
        f"{format_number(training['best']['val_dice'])}; last epoch: {format_number(training['last']['val_dice'])}. "
        f"Early stopping with a patience of {patience} {early}. Start: {describe_start(results)}. "
        f"{results['data']['train_tiles']:,} training and {results['data']['validation_tiles']:,} validation tiles, "
        f"divided by {results['data']['split']}. {training['seconds'] / 60:.0f} minutes on "
        f"{results['environment']['device']}."
    )


def describe_tests(results: dict) -> str:
    """Say in Markdown, for every test set, whether the goal was met and what the gain over no learning is."""
    lines = []
    for entry in _tests(results):
        ours, best = _dice(entry, "model"), _best_baseline(entry)
        gain = ours - _dice(entry, best)
        verdict = "meets" if ours >= course_report.DICE_GOAL else "misses"
        precision, recall = (entry["predictors"]["model"]["scores"][key] for key in ("precision", "recall"))
        lean = "invents more than it misses" if precision < recall else "misses more than it invents"
        lines.append(
            f"- On {_where(entry)} the network {verdict} the report's goal of {course_report.DICE_GOAL:.2f} with "
            f"{format_number(ours)}, {abs(gain):.3f} {'above' if gain >= 0 else '**below**'} the best without "
            f"learning, {PREDICTOR_NAMES[best]}. "
            f"It {lean} (precision {format_number(precision)}, recall {format_number(recall)})."
        )
    return "\n".join(lines)


def _tests(results: dict) -> list[dict]:
    return [entry for entry in results["evaluations"].values() if entry["part"] == "all"]


def _best_baseline(entry: dict) -> str:
    return max(BASELINES, key=lambda name: _dice(entry, name))


def _dice(entry: dict, predictor: str) -> float:
    """Give a predictor's Dice; one that is not defined counts as none."""
    return entry["predictors"][predictor]["scores"]["dice"] or 0.0


def _where(entry: dict) -> str:
    scores = entry["predictors"]["model"]["scores"]
    part = "the validation part of " if entry["part"] == "validation" else ""
    units = entry["predictors"]["model"]["units"]
    return f"{part}`{entry['name']}` (n = {scores['n_with_nuclei']} images in {units} groups)"
