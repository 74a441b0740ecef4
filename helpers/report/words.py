"""What published results say in words, so that no number in the report's prose is typed by hand."""

from collections import Counter

from helpers.config import EXTERNAL_SETS, GOALS
from helpers.evaluation.baselines import BASELINES
from helpers.report import references
from helpers.report.comparison import (
    FILLED,
    MONUSEG,
    comparison_table,
    control_run,
    describe_external,
    describe_fill_rules,
    describe_measure,
    describe_start,
    fill_rule_table,
    headline_table,
    is_current,
    is_on_shipped_data,
    latest_scores,
    nuclei_entries,
    set_name,
    shipped_run,
    shipped_scores,
)
from helpers.report.run_tables import ablation_table, describe_ablation, nuclei_part
from helpers.report.tables import PREDICTOR_NAMES, format_interval, format_number, markdown_table
from helpers.training.results import Evaluation, Reported, Results

LEVEL = 0.02  # precision and recall closer than this are called level
SET_NAMES = {MONUSEG: "MoNuSeg", "consep-test": "CoNSeP"}
PICTURE_ALT = (
    "Three views of a piece of real tissue: as it is, with the outlines of the nuclei that the model found, and with "
    "those that people drew"
)


def result_line(reported: Reported) -> str:
    """Say in Markdown, in one paragraph, what the shipped model reaches on the test sets and what that is beside."""
    scored = shipped_scores(reported)
    own = [entry for entry in scored.values() if entry["name"] not in EXTERNAL_SETS]
    tests = [entry for entry in own if entry["part"] != "validation"] or own
    which = "test images" if tests[0]["part"] != "validation" else "the validation images that it was chosen by"
    told = [
        f"**{format_number(_dice(entry, 'model'))}** (95 % interval "
        f"{format_interval(entry['predictors']['model']['intervals']['dice'])}) on the "
        f"{entry['predictors']['model']['scores']['n_with_nuclei']} images of "
        f"{SET_NAMES.get(set_name(entry), set_name(entry))} ({_tissues(entry)})"
        for entry in tests
    ]
    beside = [
        f"{PREDICTOR_NAMES[name]}: {' and '.join(format_number(_dice(entry, name)) for entry in tests)}"
        for name in BASELINES
    ]
    if control := control_run(reported):
        of_control = latest_scores(control[1]["evaluations"])
        known = [of_control.get(set_name(entry)) for entry in tests]
        found = [None if entry is None else _dice(entry, "model") for entry in known]
        beside.insert(0, f"the course report's recipe on the same tiles: {' and '.join(map(format_number, found))}")
    rule = " MoNuSeg's outlines are filled by pixel centres." if MONUSEG in scored else ""
    return f"Dice of the shipped model on {which}: {' and '.join(told)}. Beside it, {'; '.join(beside)}.{rule}"


def result_cell(reported: Reported, picture: str) -> str:
    """Write the notebook's first picture and result as Markdown; `picture` is where the picture is."""
    return f"![{PICTURE_ALT}]({picture})\n\n**Figure 1.** {PICTURE_ALT}.\n\n{result_line(reported)}"


def headline(reported: Reported) -> str:
    """Write the README's results as Markdown: four rows of Dice, and a line on external sets."""
    external = describe_external(reported)
    table = f"Dice, {describe_measure(reported)}:\n\n{markdown_table(headline_table(reported))}"
    return f"{table}\n\n{external}" if external else table


def results_page(reported: Reported) -> str:
    """Write `models/RESULTS.md`: every run, what it was scored on, which goals it met, and the ablation."""
    parts = [
        "# Every run",
        "Written by `python -m helpers publish`; the numbers in full stand in `results.json`. Dice, "
        f"{describe_measure(reported)}. Recipes and epochs were chosen on validation groups, so that column flatters. "
        "The shipped model was scored as `predict` gives it. External sets come from elsewhere: no image of them was "
        "ever trained on, and they chose nothing.",
        markdown_table(comparison_table(reported)),
    ]
    if len(rules := fill_rule_table(reported)):
        parts += ["## One prediction, three rules", FILLED, markdown_table(rules), describe_fill_rules(reported)]
    parts += nuclei_part(nuclei_entries(reported))
    old = comparison_table(reported, current=False)
    if len(old):
        parts += [
            "## Old masks",
            "These runs were scored before the masks of MoNuSeg were drawn anew, tile by tile, which is not quite how "
            "`predict` goes. Their numbers stand beside each other, and not beside those above.",
            markdown_table(old),
        ]
    verdicts = []
    for name, run in reported["runs"].items():
        goals = GOALS.get((run["recipe"]["name"], run["recipe"]["image_size"]), {})
        is_shipped = bool(reported["shipped"]) and name == reported["shipped"]["run"]
        entries = shipped_scores(reported) if is_shipped else latest_scores(run["evaluations"])
        judged = "; ".join(_judge(entry, goals.get(entry["name"])) for entry in entries.values())
        masks = "" if is_shipped or is_current(run, reported) else " (old masks)"
        verdicts.append(f"- `{name}`{masks}, from {describe_start(run)}: {judged or 'not scored'}.")
    parts += ["## Goals", "\n".join(verdicts), describe_scorings(reported)]
    trained = [f"- `{name}`: {describe_training(run)}" for name, run in reported["runs"].items()]
    parts += ["## Training", "\n".join(trained)]
    for ablation in reported.get("ablations", []):
        parts += [
            f"## Ablation{'' if is_on_shipped_data(ablation, reported) else ' (old masks)'}",
            markdown_table(ablation_table(ablation)),
            describe_ablation(ablation),
        ]
    return "\n\n".join(parts) + "\n"


def describe_masks(reported: Reported) -> str:
    """Say that the shipped run's explanation was measured on old masks, where it was; else nothing."""
    validation = shipped_scores(reported).get("validation")
    if validation is None or validation["digest"] == shipped_run(reported)["data"]["digest"]:
        return ""
    return "Measured before the masks of MoNuSeg were drawn anew; the scores of the model are of the new ones."


def _judge(entry: Evaluation, goal: float | None) -> str:
    """Say what the network reached on one set, which goals that meets, and whether no learning beats it."""
    dice, best = _dice(entry, "model"), _best_baseline(entry)
    goals = {"the report's goal": references.DICE_GOAL} | ({} if goal is None else {"this project's own": goal})
    met = [f"{'meets' if dice >= value else 'misses'} {name} of {value:.2f}" for name, value in goals.items()]
    # A goal missed by less than the decimals show must not read as met.
    told_right = all((round(dice, 3) >= value) == (dice >= value) for value in goals.values())
    lost = f", and loses to {PREDICTOR_NAMES[best]}" if dice < _dice(entry, best) else ""
    return f"{format_number(dice, 3 if told_right else 4)} on {_where(entry)} {' and '.join(met)}{lost}"


def describe_stages(reported: Reported, name: str) -> str:
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


def describe_scorings(reported: Reported) -> str:
    """Say how often each test set was scored, over all published models: every time is a chance to choose by it."""
    times = Counter()
    shipped = shipped_scores(reported).values()
    # A run that was shipped as it was scored is one scoring, told twice.
    runs = [entry for run in reported["runs"].values() for entry in run["evaluations"].values() if entry not in shipped]
    for entry in [*shipped, *runs]:
        if entry["part"] != "validation":
            times[entry["name"]] += entry["times_scored"]
    told = ", ".join(f"`{name}` {count}" for name, count in times.items()) or "none"
    return f"Times that each test set was scored, by all models on this page: {told}."


def describe_training(results: Results) -> str:
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
        f"{results['environment']['device']}.{training.get('note', '')}"
    )


def describe_tests(evaluations: dict[str, Evaluation]) -> str:
    """Say in Markdown, for every test set, whether the report's goal was met and what the gain over no learning is.

    Args:
        evaluations: a model's, as `results.json` holds them.
    """
    lines = []
    for entry in latest_scores(evaluations).values():
        if entry["part"] == "validation":
            continue
        ours, best = _dice(entry, "model"), _best_baseline(entry)
        gain = ours - _dice(entry, best)
        verdict = "meets" if ours >= references.DICE_GOAL else "misses"
        precision, recall = (entry["predictors"]["model"]["scores"][key] for key in ("precision", "recall"))
        lean = "invents more than it misses" if precision < recall else "misses more than it invents"
        if abs(precision - recall) < LEVEL:
            lean = "misses about as much as it invents"
        lines.append(
            f"- On {_where(entry)} the network {verdict} the report's goal of {references.DICE_GOAL:.2f} with "
            f"{format_number(ours)}, {abs(gain):.3f} {'above' if gain >= 0 else '**below**'} the best without "
            f"learning, {PREDICTOR_NAMES[best]}. "
            f"It {lean} (precision {format_number(precision)}, recall {format_number(recall)})."
        )
    return "\n".join(lines)


def _tissues(entry: Evaluation) -> str:
    tissues = list(entry["predictors"]["model"]["by_tissue"])
    return tissues[0].lower() if len(tissues) == 1 else f"{len(tissues)} organs"


def _best_baseline(entry: Evaluation) -> str:
    return max(BASELINES, key=lambda name: _dice(entry, name))


def _dice(entry: Evaluation, predictor: str) -> float:
    """Give a predictor's Dice; one that is not defined counts as none."""
    return entry["predictors"][predictor]["scores"]["dice"] or 0.0


def _where(entry: Evaluation) -> str:
    scores = entry["predictors"]["model"]["scores"]
    part = "" if entry["part"] == "all" else f"the {entry['part']} part of "
    units = entry["predictors"]["model"]["units"]
    return f"{part}`{entry['name']}` (n = {scores['n_with_nuclei']} images in {units} groups)"
