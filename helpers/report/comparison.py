"""Models beside each other, beside what needs no learning, and beside known systems.

Masks of a data set can be drawn anew, and a score moves with them. So scores stand beside each other only where they
are of the same masks as the shipped model's; the others are *old masks* and get a table of their own.
"""

import pandas as pd

from helpers.config import EXTERNAL_SETS, PARTLY_ANNOTATED
from helpers.evaluation.baselines import BASELINES
from helpers.report.references import KNOWN_SYSTEMS
from helpers.report.tables import MISSING, PREDICTOR_NAMES, format_interval, format_number
from helpers.training.results import Evaluation, Reported, Results

SHIPPED = "shipped model"
MONUSEG = "monuseg-test"
FILLED = (
    "MoNuSeg is published as outlines. A pixel is nucleus here where its centre lies inside; others fill the same "
    "outlines more generously, so their numbers differ by the rule alone."
)


def shipped_run(reported: Reported) -> Results | None:
    """Give the run that the shipped weights are of, or None where nothing is shipped."""
    return reported["runs"][reported["shipped"]["run"]] if reported["shipped"] else None


def shipped_scores(reported: Reported) -> dict[str, Evaluation]:
    """Give the evaluations of the shipped weights, validation first, external sets last: name of the set to entry."""
    return latest_scores(reported["shipped"]["evaluations"] if reported["shipped"] else {})


def latest_scores(evaluations: dict[str, Evaluation], partly: bool = False) -> dict[str, Evaluation]:
    """Give of each set the evaluation that was made last, validation first: a set may have been scored on old masks.

    Sets of which some kinds alone are marked are left out unless `partly`: no Dice can be had from them.
    """
    latest = {set_name(entry): entry for entry in evaluations.values()}
    return {name: latest[name] for name in sorted(latest, key=_order) if partly or name not in PARTLY_ANNOTATED}


def nuclei_entries(reported: Reported, runs: bool = True) -> dict[str, Evaluation]:
    """Give what tells of single nuclei: of the shipped weights, then of other runs on the same masks, by a title.

    Args:
        reported: as `models/results.json` holds it.
        runs: other runs too.
    """
    shipped = reported["shipped"] or {"run": None, "evaluations": {}}
    systems = {SHIPPED: shipped["evaluations"]} | {
        f"`{name}`": run["evaluations"]
        for name, run in reported["runs"].items()
        if runs and name != shipped["run"] and is_current(run, reported)
    }
    return {
        f"{title}, {name}": entry
        for title, evaluations in systems.items()
        for name, entry in latest_scores(evaluations, partly=True).items()
        if entry.get("nuclei")
    }


def _order(name: str) -> tuple[bool, bool, str]:
    """Put validation first and external sets last."""
    return name != "validation", name in EXTERNAL_SETS, name


def describe_external(reported: Reported) -> str:
    """Say in Markdown what the shipped model reaches on sets from elsewhere; empty where none was scored."""
    told = []
    for name, entry in shipped_scores(reported).items():
        if name in EXTERNAL_SETS:
            model = entry["predictors"]["model"]
            dice, interval = format_number(model["scores"]["dice"]), format_interval(model["intervals"]["dice"])
            told.append(f"`{name}` {dice} ({interval}, n = {model['scores']['n_with_nuclei']})")
    return f"External sets, never trained on: {', '.join(told)}." if told else ""


def is_current(run: Results, reported: Reported) -> bool:
    """Tell whether a run was scored on the masks that the shipped weights were scored on, wherever both were scored."""
    digests = {name: entry["digest"] for name, entry in shipped_scores(reported).items()}
    latest = latest_scores(run["evaluations"])
    return all(digests.get(name, entry["digest"]) == entry["digest"] for name, entry in latest.items())


def is_on_shipped_data(ablation: dict, reported: Reported) -> bool:
    """Tell whether an ablation was made on the data that the shipped weights were trained on, or nothing is shipped."""
    shipped = shipped_run(reported)
    return shipped is None or shipped["data"]["digest"] == ablation["data"]["digest"]


def control_run(reported: Reported) -> tuple[str, Results] | None:
    """Give name and results of the control, the last run of the report's recipe on the same masks, or None."""
    named = [
        (name, run)
        for name, run in reported["runs"].items()
        if run["recipe"]["name"] == "report" and not run["recipe"].get("shuffled_masks") and is_current(run, reported)
    ]
    return named[-1] if named else None


def set_name(entry: Evaluation) -> str:
    """Name an evaluation's set: that of the data set, or "validation"."""
    return "validation" if entry["part"] == "validation" else entry["name"]


def comparison_table(reported: Reported, current: bool = True) -> pd.DataFrame:
    """Set the shipped model and all runs beside no learning and known systems: Dice with its interval by set.

    Args:
        reported: as `models/results.json` holds it.
        current: scores of the masks of the shipped model's scores; or those of old masks.

    Returns:
        a row for each system, a column for each set; what was not measured is an en dash.
    """
    systems = {
        f"`{name}`": (run, latest_scores(run["evaluations"]))
        for name, run in reported["runs"].items()
        if run["evaluations"] and is_current(run, reported) == current
    }
    if reported["shipped"] and current:
        systems.pop(f"`{reported['shipped']['run']}`", None)  # its weights are the shipped ones
        systems = {SHIPPED: (shipped_run(reported), shipped_scores(reported))} | systems
    if not systems:
        return pd.DataFrame()
    found = dict.fromkeys(name for _, entries in systems.values() for name in entries)
    sets = sorted(found, key=_order)
    rows = {}
    for title, (run, entries) in systems.items():
        about = {"parameters": format_number(run["model"]["parameters"]), "trained on": _training(run)}
        for predictor, suffix in (("model", ""), ("averaged", ", averaged over flips and turns")):
            if any(predictor in entry["predictors"] for entry in entries.values()):
                rows[title + suffix] = about | _dice_by_set(entries, sets, predictor)
    # Whatever needs no learning scores the same on the same masks, whichever run was scored beside it.
    entries = {name: next(of[name] for _, of in systems.values() if name in of) for name in sets}
    for name in BASELINES:
        about = {"parameters": "0", "trained on": "nothing"}
        rows[PREDICTOR_NAMES[name]] = about | _dice_by_set(entries, sets, name)
    for system in KNOWN_SYSTEMS if current else ():
        millions = MISSING if system.parameters is None else f"{system.parameters:g} million"
        rows[f"{system.name} ({system.source})"] = {"parameters": millions, "trained on": system.training} | {
            name: system.dice.get(name, MISSING) for name in sets
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("system").rename(columns=_with_n(entries))


def headline_table(reported: Reported) -> pd.DataFrame:
    """Show the four rows that matter, without external sets: shipped model, control, and what needs no learning."""
    table = comparison_table(reported)
    external = [column for column in table.columns if column.split(",")[0] in EXTERNAL_SETS]
    control = control_run(reported)
    titles = {SHIPPED: SHIPPED} | ({f"`{control[0]}`": "the report's recipe (control)"} if control else {})
    titles |= {PREDICTOR_NAMES[name]: PREDICTOR_NAMES[name] for name in BASELINES}
    kept = table.loc[[title for title in titles if title in table.index]]
    return kept.drop(columns=["parameters", "trained on", *external]).rename(index=titles)


def describe_measure(reported: Reported) -> str:
    """Say how the Dice that is reported was taken, and by which rule outlines became masks."""
    rule = "; MoNuSeg's outlines filled by pixel centres" if MONUSEG in shipped_scores(reported) else ""
    return (
        "mean over images with nuclei, with 95 % bootstrap intervals over groups of images (by patient or slide where "
        f"told){rule}"
    )


def fill_rule_table(reported: Reported) -> pd.DataFrame:
    """Hold one prediction of the shipped model against the same outlines filled by each rule: a row a rule."""
    rows = [
        {"set": name, "rule": rule, "n": scored["scores"]["n_with_nuclei"]}
        | {"Dice": f"{format_number(scored['scores']['dice'])} ({format_interval(scored['intervals']['dice'])})"}
        | {key: format_number(scored["scores"][key]) for key in ("precision", "recall")}
        for name, entry in shipped_scores(reported).items()
        for rule, scored in entry.get("fill_rules", {}).items()
    ]
    return pd.DataFrame(rows).set_index("set") if rows else pd.DataFrame()


def describe_fill_rules(reported: Reported) -> str:
    """Say in Markdown what the rule of filling outlines alone does to the Dice; empty where that was not measured."""
    told = []
    for name, entry in shipped_scores(reported).items():
        dice = {rule: scored["scores"]["dice"] for rule, scored in entry.get("fill_rules", {}).items()}
        if dice:
            each = ", ".join(f"{format_number(value)} ({rule})" for rule, value in dice.items())
            told.append(
                f"One prediction on `{name}` has Dice {each}: the rule alone moves it by "
                f"{format_number(max(dice.values()) - min(dice.values()))}."
            )
    return " ".join(told)


def describe_start(run: Results) -> str:
    """Say what a run started from: an encoder of ImageNet, chance, or another run's weights for the whole network."""
    start = run["model"]["encoder_start"]
    known = {"imagenet": "an ImageNet encoder", "imagenet, lite0": "an ImageNet encoder of Lite0"}
    return (known | {"random": "random weights"}).get(start, f"the weights of {start}")


def _training(run: Results) -> str:
    return f"`{run['data']['name']}` at {run['recipe']['image_size']} pixels; from {describe_start(run)}"


def _dice_by_set(entries: dict[str, Evaluation], sets: list[str], predictor: str) -> dict[str, str]:
    row = dict.fromkeys(sets, MISSING)
    for name, entry in entries.items():
        if scored := entry["predictors"].get(predictor):
            row[name] = f"{format_number(scored['scores']['dice'])} ({format_interval(scored['intervals']['dice'])})"
    return row


def _with_n(entries: dict[str, Evaluation]) -> dict[str, str]:
    """Give each set's name with what it is and its number of images."""
    return {
        name: f"{name}{', external' if name in EXTERNAL_SETS else ''} "
        f"(n = {entry['predictors']['model']['scores']['n_with_nuclei']})"
        for name, entry in entries.items()
    }
