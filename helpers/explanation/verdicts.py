"""Sums up what was measured of maps, uncertainty and failures, in plain numbers with intervals, and judges by them."""

import numpy as np
from scipy.special import expit

from helpers.evaluation.calibration import Reliability, fit_temperature, measure_reliability
from helpers.evaluation.failures import count_causes, find_worst, near_outlines
from helpers.evaluation.uncertainty import error_auroc, risk_coverage, tile_uncertainty
from helpers.explanation.faithfulness import CONTROLS, CURVES, SANITY, SHARES, curve_areas
from helpers.metrics import FEWEST_FOR_INTERVAL, bootstrap_mean

ALIKE = 0.5  # a map passes the sanity check if its mean rank correlation with the controls stays below half of the most
BY_HEART = 0.9  # Dice on its own tiles from which a control on shuffled masks has learnt them
COVERAGES = 20  # points of a risk-coverage curve that are kept
VERDICTS = (
    "passes",
    "not shown to beat darkness",
    "loses to darkness",
    "not shown to beat chance",
    "loses to chance",
    "too few images to tell",
    "fails sanity",
)


def summarize_calibration(logits: np.ndarray, truth: np.ndarray, groups: np.ndarray, seed: int = 0) -> dict:
    """Fit a temperature on one half of the groups, drawn by lot, and measure on the other what it mends.

    Args:
        logits: `(N, H, W)`.
        truth: `(N, H, W)` bool.
        groups: `(N,)`, the source image of each tile.
        seed: of the lot.

    Returns:
        `temperature`, `fitted_groups`, `measured_groups`, and `before` and `after`, reliability and
        `expected_calibration_error` on the half that did not fit.
    """
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    fitting = np.isin(groups, names[: len(names) // 2])
    temperature = fit_temperature(logits[fitting], truth[fitting])
    reliability = {
        "before": measure_reliability(expit(logits[~fitting]), truth[~fitting]),
        "after": measure_reliability(expit(logits[~fitting] / temperature), truth[~fitting]),
    }
    return {
        "temperature": temperature,
        "fitted_groups": len(names) // 2,
        "measured_groups": len(names) - len(names) // 2,
    } | {name: _plain(measured) for name, measured in reliability.items()}


def summarize_uncertainty(
    uncertainties: dict[str, np.ndarray], predicted: np.ndarray, truth: np.ndarray, dice: np.ndarray, groups: np.ndarray
) -> dict[str, dict]:
    """Tell how well each uncertainty finds wrong pixels (`auroc`) and bad tiles (`risk` at `coverage`, `risk_area`).

    Args:
        uncertainties: name to `(N, H, W)`, as from `uncertainty.measure_uncertainty`.
        predicted: `(N, H, W)` bool.
        truth: `(N, H, W)` bool.
        dice: `(N,)`.
        groups: `(N,)`.

    Returns:
        by name; beside them "perfect", tiles in the order of their Dice, and "none", any order.
    """
    known = ~np.isnan(dice)
    coverage = np.linspace(1 / COVERAGES, 1, COVERAGES)
    summary = {}
    for name, uncertainty in uncertainties.items():
        summary[name] = {"auroc": _interval(error_auroc(uncertainty, predicted != truth), groups)}
        summary[name] |= _risk(risk_coverage(tile_uncertainty(uncertainty, predicted), dice), coverage)
    summary["perfect"] = _risk(risk_coverage(-dice, dice), coverage)
    summary["none"] = _risk(np.full(known.sum(), 1 - dice[known].mean()), coverage)
    return summary


def summarize_failures(dice: np.ndarray, causes: dict[str, np.ndarray], indices: np.ndarray) -> dict:
    """Count the causes of failure, and name the worst tiles.

    Args:
        dice: `(N,)`.
        causes: as from `failures.find_causes`.
        indices: `(N,)`, the tiles' numbers in the data set.

    Returns:
        `causes`, as from `failures.count_causes`, and `worst`, the worst tile first: `tile`, `dice`, `causes`.
    """
    worst = np.flatnonzero(find_worst(dice))
    return {
        "causes": count_causes(dice, causes),
        "worst": [
            {
                "tile": int(indices[row]),
                "dice": float(dice[row]),
                "causes": [name for name, found in causes.items() if found[row]],
            }
            for row in worst[np.argsort(dice[worst], kind="stable")]
        ],
    }


def summarize_sources(
    predicted: np.ndarray, truth: np.ndarray, dice: np.ndarray, groups: np.ndarray, sources: np.ndarray
) -> dict[str, dict]:
    """Give mean Dice by data set, and how much of what is wrong lies along outlines.

    Args:
        predicted: `(N, H, W)` bool.
        truth: `(N, H, W)` bool.
        dice: `(N,)`.
        groups: `(N,)`.
        sources: `(N,)`, the data set of each tile, as from `failures.source_of`.

    Returns:
        for each data set `n` tiles with nuclei, number of `groups`, `dice` as mean and interval over groups (none under
        five), and `near_outlines`: the share of the wrong pixels, and of `all` pixels, that `failures.near_outlines`
        marks.
    """
    wrong, near = predicted != truth, near_outlines(truth)
    summary = {}
    for name in np.unique(sources).tolist():
        chosen = sources == name
        summary[name] = {
            "n": int((~np.isnan(dice[chosen])).sum()),
            "groups": len(np.unique(groups[chosen])),
            "dice": _interval(dice[chosen], groups[chosen]),
            "near_outlines": {
                "wrong": float(near[chosen][wrong[chosen]].mean()) if wrong[chosen].any() else None,
                "all": float(near[chosen].mean()),
            },
        }
    return summary


def summarize_faithfulness(curves: dict[str, np.ndarray], groups: np.ndarray) -> dict[str, dict]:
    """Sum up deletion and insertion.

    Args:
        curves: as from `faithfulness.measure_maps`.
        groups: `(N,)`, the source image of each tile.

    Returns:
        for each map `n` tiles, mean `deletion` and `insertion` curves at `shares`, their areas, the `gain` (area of
        insertion less that of deletion: 0 on average for a random order), and what it gains over each of `CONTROLS` on
        the same tiles; areas and gains as mean and interval.
    """
    areas = {name: curve_areas(values) for name, values in curves.items()}  # (N, 2)
    gains = {name: values[:, 1] - values[:, 0] for name, values in areas.items()}
    return {
        name: {
            "n": int((~np.isnan(gains[name])).sum()),
            "shares": list(SHARES),
            "curves": dict(zip(CURVES, _mean_curves(values).tolist(), strict=True)),
            "areas": {kind: _interval(areas[name][:, column], groups) for column, kind in enumerate(CURVES)},
            "gain": _interval(gains[name], groups),
            "over": {control: _interval(gains[name] - gains[control], groups) for control in CONTROLS},
        }
        for name, values in curves.items()
    }


def summarize_sanity(correlations: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, dict]]:
    """Average rank correlations over tiles: map to {network to `mean` and `n` tiles on which it is defined}."""
    return {
        name: {network: _mean_of([of_tile[name][network] for of_tile in correlations]) for network in networks}
        for name, networks in correlations[0].items()
    }


def passes_sanity(networks: dict[str, dict]) -> bool:
    """Tell whether a map changes where it should: in all of `SANITY` that is known.

    Where it is not defined, on a map that is flat on every tile, it does not pass.
    """
    controls = [networks[name]["mean"] for name in SANITY if name in networks]
    return all(mean is not None and abs(mean) < ALIKE for mean in controls)


def beats(summary: dict, control: str) -> bool | None:
    """Tell whether a map gains more than a control, by more than the choice of images explains; None of too few."""
    interval = summary["over"][control]["interval"]
    return None if interval is None else interval[0] > 0


def loses(summary: dict, control: str) -> bool | None:
    """Tell whether a map gains less than a control, by more than the choice of images explains; None of too few."""
    interval = summary["over"][control]["interval"]
    return None if interval is None else interval[1] < 0


def judge_map(summary: dict, networks: dict[str, dict]) -> str:
    """Say which test a map fails first, or that it passes."""
    if not passes_sanity(networks):
        return "fails sanity"
    if beats(summary, "random") is None:
        return "too few images to tell"
    for control, name in (("random", "chance"), ("darkness", "darkness")):
        if not beats(summary, control):
            return f"loses to {name}" if loses(summary, control) else f"not shown to beat {name}"
    return "passes"


def prefer_map(faithfulness: dict[str, dict], sanity: dict[str, dict]) -> str | None:
    """Choose, among the maps that pass the sanity check and beat chance, that with the largest gain; None without one.

    Those that beat darkness too go first. It is no bar: a map that loses to it still says something of the network,
    which darkness does not.
    """
    passing = [name for name in sanity if passes_sanity(sanity[name]) and beats(faithfulness[name], "random")]
    return max(
        passing,
        key=lambda name: (bool(beats(faithfulness[name], "darkness")), faithfulness[name]["gain"]["mean"]),
        default=None,
    )


def _mean_curves(values: np.ndarray) -> np.ndarray:
    """Average `(N, 2, len(SHARES))` over the tiles where it is defined; NaN without one."""
    known = values[~np.isnan(values).any((1, 2))]
    return known.mean(0) if len(known) else np.full(values.shape[1:], np.nan)


def _interval(values: np.ndarray, groups: np.ndarray) -> dict:
    mean, *interval = bootstrap_mean(values, groups)
    enough = len(np.unique(groups[~np.isnan(values)])) >= FEWEST_FOR_INTERVAL
    return {"mean": mean, "interval": interval if enough else None}


def _mean_of(values: list[float]) -> dict:
    known = [value for value in values if value == value]
    return {"mean": float(np.mean(known)) if known else None, "n": len(known)}


def _risk(risk: np.ndarray, coverage: np.ndarray) -> dict:
    places = np.maximum(0, np.ceil(coverage * len(risk)).astype(int) - 1)
    return {"coverage": coverage.tolist(), "risk": risk[places].tolist(), "risk_area": float(risk.mean())}


def _plain(reliability: Reliability) -> dict:
    return {
        "expected_calibration_error": reliability.expected_calibration_error,
        **{name: values.tolist() for name, values in vars(reliability).items()},
    }
