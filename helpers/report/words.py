"""What published results say in words, so that no number in the report's prose is typed by hand."""

from collections import Counter

from helpers.config import GOALS
from helpers.evaluation.baselines import BASELINES
from helpers.report import course_report
from helpers.report.tables import PREDICTOR_NAMES, comparison_table, describe_start, format_number, markdown_table

INTERVALS = (
    "with 95 % bootstrap intervals over groups of images that may share a slide (on the test sets, single images)"
)
LEVEL = 0.02  # precision and recall closer than this are called level


def headline(reported: dict) -> str:
    """Say in Markdown what every published run reached, beside no learning and known systems, and which goals it met.

    Args:
        reported: as `models/results.json` holds it.
    """
    lines = [
        f"Dice, mean over images with nuclei, {INTERVALS}:",
        "",
        markdown_table(comparison_table(reported)),
        "",
    ]
    for name, run in reported["runs"].items():
        goals = GOALS.get((run["recipe"]["name"], run["recipe"]["image_size"]), {})
        verdicts = [_judge(entry, goals.get(entry["name"])) for entry in run["evaluations"].values()]
        lines.append(f"- `{name}`, from {describe_start(run)}: {'; '.join(verdicts)}.")
    return "\n".join([*lines, "", describe_scorings(reported)])


def _judge(entry: dict, goal: float | None) -> str:
    """Say what the network reached on one set, which goals that meets, and whether no learning beats it."""
    dice, best = _dice(entry, "model"), _best_baseline(entry)
    goals = {"the report's goal": course_report.DICE_GOAL} | ({} if goal is None else {"this project's own": goal})
    met = [f"{'meets' if dice >= value else 'misses'} {name} of {value:.2f}" for name, value in goals.items()]
    # A goal missed by less than the decimals show must not read as met.
    told_right = all((round(dice, 3) >= value) == (dice >= value) for value in goals.values())
    lost = f", and loses to {PREDICTOR_NAMES[best]}" if dice < _dice(entry, best) else ""
    return f"{format_number(dice, 3 if told_right else 4)} on {_where(entry)} {' and '.join(met)}{lost}"


def describe_stages(reported: dict, name: str) -> str:
    """Say in Markdown from which earlier runs a run came, first to last, and what each cost; empty if from none."""
    stages, start = {}, name
    while start in reported["runs"] and start not in stages:  # a run may bear the name of the one it started from
        run = reported["runs"][start]
        training, recipe = run["training"], run["recipe"]
        stages[start] = (
            f"`{start}` ({recipe['image_size']} pixels, {training['epochs']} epochs, {training['seconds'] / 60:.0f} "
            "minutes)"
        )
        start = run["model"]["encoder_start"].split("/")[0]
    if len(stages) == 1:
        return ""
    told = ", ".join(reversed(stages.values()))
    return f"It was trained in stages, each from the best weights of the one before: {told}."


def describe_scorings(reported: dict) -> str:
    """Say how often each test set was scored, over all published runs: every time is a chance to choose by it."""
    times = Counter()
    for run in reported["runs"].values():
        times.update({entry["name"]: entry["times_scored"] for entry in _tests(run)})
    told = ", ".join(f"`{name}` {count}" for name, count in times.items()) or "none"
    return f"Times that each test set was scored, over the runs above: {told}."


def describe_training(results: dict) -> str:
    """Say in Markdown which epoch was the best, what early stopping would have kept, and what the run cost."""
    training, patience = results["training"], results["recipe"]["early_stopping_patience"]
    stop, kept = training["early_stopping_epoch"], training["early_stopping_best_epoch"]
    early = (
        f"would not have ended these {training['epochs']} epochs sooner"
        if stop is None
        else f"would have ended the run after epoch {stop} and kept epoch {kept}"
    )
    return (
        f"Best epoch: {training['best_epoch']} of {training['epochs']}, validation Dice "
        f"{format_number(training['best']['val_dice'])} (tile by tile at the network's size); last epoch: "
        f"{format_number(training['last']['val_dice'])}. "
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
        if abs(precision - recall) < LEVEL:
            lean = "misses about as much as it invents"
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
