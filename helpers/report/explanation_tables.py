"""What maps, uncertainty and probabilities were measured to be worth, for a reader: tables, and what they say together.

All take an explanation as from `explanation.explain_tiles`.
"""

import math

import pandas as pd

from helpers.evaluation.failures import OUTLINE
from helpers.evaluation.uncertainty import UNCERTAINTIES, UNCERTAINTY_NAMES
from helpers.explanation.faithfulness import ALL_RANDOM, CONTROLS, LEARNT, SANITY, SHUFFLED
from helpers.explanation.verdicts import ALIKE, BY_HEART, VERDICTS, judge_map
from helpers.report.tables import MISSING, format_interval, format_number


def faithfulness_table(explanation: dict) -> pd.DataFrame:
    """Show each map, the best first: its areas, its gain, what it gains over both controls, and its sanity."""
    maps, sanity = explanation["faithfulness"]["maps"], explanation["sanity"]["maps"]
    rows = {}
    for name in sorted(maps, key=lambda name: -_number(maps[name]["gain"]["mean"])):
        summary, networks = maps[name], sanity.get(name, {})
        rows[name] = {
            "n": summary["n"],
            "deletion": format_number(summary["areas"]["deletion"]["mean"]),
            "insertion": format_number(summary["areas"]["insertion"]["mean"]),
            "gain": format_number(summary["gain"]["mean"]),
        }
        for control in CONTROLS:
            rows[name][f"over {control}"] = MISSING if name == control else _signed(summary["over"][control])
        for network in SANITY:
            title = "like all random" if network == ALL_RANDOM else f"like {network}"
            rows[name][title] = format_number(networks.get(network, {}).get("mean"), 2)
        rows[name]["verdict"] = MISSING if name in CONTROLS else judge_map(summary, networks)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("map")


def cascade_table(explanation: dict) -> pd.DataFrame:
    """Show the rank correlation of each map with that of the network as it is made random from the top down."""
    rows = {
        name: {network: format_number(correlation["mean"], 2) for network, correlation in networks.items()}
        for name, networks in explanation["sanity"]["maps"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").fillna(MISSING).rename_axis("map")


def uncertainty_table(explanation: dict) -> pd.DataFrame:
    """Show how well each uncertainty finds wrong pixels, and what Dice is lost where the surest tiles are kept."""
    rows = {}
    for name, summary in explanation["uncertainty"].items():
        auroc = summary.get("auroc")
        risks = _risk_by_coverage(summary)
        rows[UNCERTAINTY_NAMES[name]] = {
            "AUROC of wrong pixels": MISSING if auroc is None else format_number(auroc["mean"]),
            "95 % interval": MISSING if auroc is None else format_interval(auroc["interval"]),
            "Dice lost, surest half": format_number(risks.get(0.5)),
            "Dice lost, all tiles": format_number(risks.get(1.0)),
            "area under risk": format_number(summary["risk_area"]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("uncertainty")


def calibration_table(explanation: dict) -> pd.DataFrame:
    """Show the expected calibration error before and after the temperature, on the half that did not fit it."""
    calibration = explanation["calibration"]
    temperatures = {"before": 1.0, "after": calibration["temperature"]}
    rows = {
        name: {
            "temperature": format_number(temperature),
            "expected calibration error": format_number(calibration[name]["expected_calibration_error"], 4),
            "groups": calibration["measured_groups"],
        }
        for name, temperature in temperatures.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def cause_table(explanation: dict) -> pd.DataFrame:
    """Show how often each cause stands among the worst tiles and among all, and the Dice with and without it."""
    rows = {
        name: {
            "n": cause["n"],
            "n among the worst": cause["n_worst"],
            "share": format_number(cause["share"], 2),
            "share of the worst": format_number(cause["share_worst"], 2),
            "Dice with": format_number(cause["dice_with"]),
            "Dice without": format_number(cause["dice_without"]),
        }
        for name, cause in explanation["failures"]["causes"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cause")


def source_table(explanation: dict) -> pd.DataFrame:
    """Show mean Dice by data set, with n tiles and groups, and how much of what is wrong lies along outlines."""
    rows = {
        name: {
            "n": source["n"],
            "groups": source["groups"],
            "Dice": format_number(source["dice"]["mean"]),
            "95 % interval": format_interval(source["dice"]["interval"]),
            f"wrong pixels within {OUTLINE} px of the true outline": format_number(source["near_outlines"]["wrong"], 2),
            "all pixels there": format_number(source["near_outlines"]["all"], 2),
        }
        for name, source in explanation["sources"].items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("source")


def describe_maps(explanation: dict) -> str:
    """Say in Markdown which maps pass which test, and which one is preferred."""
    maps, sanity = explanation["faithfulness"]["maps"], explanation["sanity"]["maps"]
    verdicts = {name: judge_map(maps[name], networks) for name, networks in sanity.items()}
    lines = [
        f"Faithfulness on {explanation['faithfulness']['tiles']} tiles, sanity on {explanation['sanity']['tiles']}; a "
        f"map passes the sanity check where its mean rank correlation with each control, all weights random and, where "
        f"one was trained, on shuffled masks, stays between {-ALIKE} and {ALIKE}.",
        "",
    ]
    for verdict in VERDICTS:
        named = [name for name, found in verdicts.items() if found == verdict]
        if named:
            lines.append(f"- {verdict.capitalize()}: {'; '.join(named)}.")
    if control := explanation.get("control"):
        lines += ["", *_describe_control(control, sanity)]
    preferred = explanation["preferred"]
    if preferred is None:
        return "\n".join([*lines, "", "No map passes the sanity check and beats chance, so none is preferred."])
    beaten = (
        "chance and plain darkness"
        if verdicts[preferred] == "passes"
        else ("chance; that it tells more than where the tissue is dark was not shown")
    )
    return "\n".join([*lines, "", f"Preferred: **{preferred}**, which beats {beaten}."])


def _describe_control(control: dict, sanity: dict) -> list[str]:
    """Say what the control on shuffled masks learnt, and how alike its maps are to those of the trained network."""
    start = "a random start" if control["start"] == "random" else "ImageNet's weights"
    told = "It knows them by heart", ""
    if (control["dice"] or 0) < BY_HEART:
        told = "It did not learn them", " So it is weak evidence that its maps differ."
    lines = [
        f"The control on shuffled masks is the same network, from {start}: epoch {control['best_epoch']} of "
        f"{control['epochs']} on {control['tiles']} training tiles alone, {control['size']} pixels a side, each with "
        f"the mask of another. {told[0]}: its Dice on these masks, in evaluation mode, is "
        f"{format_number(control['dice'])}, where {BY_HEART} was asked for.{told[1]}",
        "",
    ]
    for network, where in {LEARNT: "of the tiles that it learnt", SHUFFLED: "validation tiles, new to both"}.items():
        means = {name: networks.get(network, {}).get("mean") for name, networks in sanity.items()}
        if known := {name: mean for name, mean in means.items() if mean is not None}:
            count = max(sanity[name][network]["n"] for name in known)
            least, most = min(known, key=known.get), max(known, key=known.get)
            alike = "; ".join(name for name, mean in known.items() if abs(mean) >= ALIKE)
            lines.append(
                f"- On {count} {where}, asked about the same pixels, its maps and the trained network's have mean rank "
                f"correlations of {known[least]:.2f} ({least}) to {known[most]:.2f} ({most}); alike: {alike or 'none'}."
            )
    return lines


def describe_uncertainty(explanation: dict) -> str:
    """Say in Markdown what uncertainty is worth, and what the temperature mends."""
    uncertainty, calibration = explanation["uncertainty"], explanation["calibration"]
    finder = max(UNCERTAINTIES, key=lambda name: _mean(uncertainty[name]))
    keeper = max(UNCERTAINTIES, key=lambda name: -_number(uncertainty[name]["risk_area"]))
    auroc, *less = sorted((format_number(uncertainty[name]["auroc"]["mean"]) for name in UNCERTAINTIES), reverse=True)
    area, *more = sorted(format_number(uncertainty[name]["risk_area"]) for name in UNCERTAINTIES)
    none, perfect = (format_number(uncertainty[name]["risk_area"]) for name in ("none", "perfect"))
    errors = [calibration[name]["expected_calibration_error"] for name in ("before", "after")]
    before, after = (format_number(error, 4) for error in errors)
    lean = "too sure of itself" if calibration["temperature"] > 1 else "not sure enough"
    return "\n".join(
        [
            f"- In the mean, wrong pixels are found best by the {UNCERTAINTIES[finder]} (AUROC {auroc}; the others "
            f"{' and '.join(less)}).",
            f"- Bad tiles are found best by the {UNCERTAINTIES[keeper]}: area under risk {area} (the others "
            f"{' and '.join(more)}), against {none} for any order and {perfect} for the perfect one.",
            *_misleading(uncertainty),
            f"- The temperature is {format_number(calibration['temperature'], 2)}: the network was {lean}. On the "
            f"groups that did not fit it, the expected calibration error goes from {before} to {after}"
            f"{', which mends nothing' if errors[1] >= errors[0] else ''}.",
        ]
    )


def _misleading(uncertainty: dict) -> list[str]:
    """Name the measures whose surest tenth of the tiles is no better than all."""
    lines = []
    for name in UNCERTAINTIES:
        risks = _risk_by_coverage(uncertainty[name])
        if 0.1 in risks and risks[0.1] >= risks[1.0]:
            lines.append(
                f"- By the {UNCERTAINTIES[name]} the surest tenth of the tiles loses {format_number(risks[0.1])} of "
                f"Dice, no less than all of them ({format_number(risks[1.0])}): where it is surest, it misleads."
            )
    return lines


def draw_conclusion(explanation: dict) -> str:
    """Say in Markdown what maps and uncertainty may be used for, as far as the numbers go."""
    maps, uncertainty = explanation["faithfulness"]["maps"], explanation["uncertainty"]
    verdicts = [judge_map(maps[name], networks) for name, networks in explanation["sanity"]["maps"].items()]
    passing = verdicts.count("passes")
    chance = verdicts.count("not shown to beat darkness") + verdicts.count("loses to darkness")
    if passing:
        use = (
            f"{passing} of {len(verdicts)} tell more of the network than chance and plain darkness do: use those alone."
        )
    elif chance:
        use = (
            f"none of {len(verdicts)} was shown to tell more than plain darkness, {chance} tell more than chance. They "
            "show that the answer hangs on dark tissue, as it should for nuclei; they are no evidence that one answer "
            "is right, and nobody should trust a mask more for them."
        )
    else:
        use = f"none of {len(verdicts)} was shown to tell more than chance: draw no conclusion from them."
    cheap, others = "confidence", [name for name in UNCERTAINTIES if name != "confidence"]
    better = {
        "wrong pixels": [name for name in others if _mean(uncertainty[name]) > _mean(uncertainty[cheap])],
        "bad tiles": [
            name for name in others if _number(uncertainty[name]["risk_area"]) < uncertainty[cheap]["risk_area"]
        ],
    }
    lines = [f"- **Maps:** {use}"]
    for what, named in better.items():
        names = " and ".join(UNCERTAINTIES[name] for name in named)
        told = f"is outdone by {names}" if named else "costs nothing and neither of the others finds them better"
        lines.append(f"- **Uncertainty, {what}:** the {UNCERTAINTIES[cheap]} {told}, in the mean.")
    return "\n".join(lines)


def _risk_by_coverage(summary: dict) -> dict[float, float]:
    return dict(zip((round(share, 2) for share in summary["coverage"]), summary["risk"], strict=True))


def _mean(summary: dict) -> float:
    return _number(summary["auroc"]["mean"])


def _signed(over: dict) -> str:
    if over["mean"] is None or over["mean"] != over["mean"]:
        return MISSING
    return f"{over['mean']:+.3f} ({format_interval(over['interval'])})"


def _number(value: float | None) -> float:
    """Give a value to sort by, the lowest for what is not defined."""
    return -math.inf if value is None or value != value else value
