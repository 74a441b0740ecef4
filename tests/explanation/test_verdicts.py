"""What is summed up and judged, from numbers made so that the answer is known."""

import numpy as np
import pytest
from scipy.special import expit

from helpers.explanation.faithfulness import ALL_RANDOM, CONTROLS, LEARNT, SHARES, SHUFFLED
from helpers.explanation.verdicts import (
    beats,
    passes_sanity,
    prefer_map,
    summarize_calibration,
    summarize_failures,
    summarize_faithfulness,
    summarize_sanity,
    summarize_sources,
    summarize_uncertainty,
)

GROUPS = np.repeat([f"slide-{number}" for number in range(8)], 3)


def curves(gain: float) -> np.ndarray:
    """Give curves of 24 tiles whose areas differ by `gain` and a little chance."""
    noise = np.random.default_rng(0).normal(0, 0.01, (24, 1))
    line = np.array(SHARES)
    middle = 4 * line * (1 - line) / 4
    area = np.trapezoid(middle, SHARES)
    insertion = line + (gain / 2 + noise) * middle / area
    return np.stack([1 - insertion, insertion], axis=1)


@pytest.fixture
def summary() -> dict:
    return summarize_faithfulness(
        {"good": curves(0.5), "level": curves(0.3), "blind": curves(0.0)}
        | dict(zip(CONTROLS, (curves(0.0), curves(0.3)), strict=True)),
        GROUPS,
    )


def test_gain_is_insertion_less_deletion(summary):
    good = summary["good"]
    assert good["gain"]["mean"] == pytest.approx(0.5, abs=0.02)
    assert good["gain"]["mean"] == pytest.approx(good["areas"]["insertion"]["mean"] - good["areas"]["deletion"]["mean"])
    assert good["over"]["random"]["mean"] == pytest.approx(0.5, abs=1e-9)  # on the same tiles chance cancels
    low, high = good["gain"]["interval"]
    assert low < good["gain"]["mean"] < high
    assert good["n"] == 24


def test_what_beats_which_control(summary):
    assert [beats(summary[name], "random") for name in ("good", "level", "blind")] == [True, True, False]
    assert [beats(summary[name], "darkness") for name in ("good", "level", "blind")] == [True, False, False]


def test_undefined_tiles_are_left_out_and_few_groups_have_no_interval():
    values = curves(0.5)
    values[3:] = np.nan
    summed = summarize_faithfulness(dict.fromkeys(("map", *CONTROLS), values), GROUPS)
    assert summed["map"]["n"] == 3
    assert summed["map"]["gain"]["interval"] is None
    assert beats(summed["map"], "random") is None


def correlation(mean: float | None) -> dict:
    return {"mean": mean, "n": 1}


@pytest.mark.parametrize(
    ("random", "shuffled", "passes"),
    [(0.1, 0.2, True), (0.6, 0.2, False), (0.1, 0.6, False), (-0.7, 0.0, False), (None, 0.0, False)],
)
@pytest.mark.parametrize("control", [SHUFFLED, LEARNT])
def test_sanity_needs_every_control(random, shuffled, passes, control):
    networks = {"head": correlation(1.0), ALL_RANDOM: correlation(random), control: correlation(shuffled)}
    assert passes_sanity(networks) is passes


def test_the_best_of_those_that_pass_is_preferred(summary):
    sane, insane = {ALL_RANDOM: correlation(0.0)}, {ALL_RANDOM: correlation(0.9)}
    assert prefer_map(summary, {"good": sane, "level": sane, "blind": sane}) == "good"
    assert prefer_map(summary, {"good": insane, "level": sane, "blind": sane}) == "level"
    assert prefer_map(summary, {"good": insane, "blind": sane}) is None


def test_what_beats_darkness_goes_first(summary):
    sane = {ALL_RANDOM: correlation(0.0)}
    summary["level"]["gain"]["mean"] = 0.9  # more, and yet not shown to beat darkness
    assert prefer_map(summary, {"good": sane, "level": sane}) == "good"


def test_correlations_are_averaged_where_they_are_defined():
    tiles = [{"map": {"head": 1.0, ALL_RANDOM: np.nan}}, {"map": {"head": 0.5, ALL_RANDOM: np.nan}}]
    assert summarize_sanity(tiles) == {"map": {"head": {"mean": 0.75, "n": 2}, ALL_RANDOM: {"mean": None, "n": 0}}}


def test_temperature_is_fitted_on_one_half_and_measured_on_the_other():
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (24, 40, 40))
    truth = random.random(logits.shape) < expit(logits)
    found = summarize_calibration(2 * logits, truth, GROUPS)
    fitting = np.isin(GROUPS, np.random.default_rng(0).permutation(np.unique(GROUPS))[:4])
    changed = truth & fitting[:, None, None]  # what the other half holds does not move it
    assert summarize_calibration(2 * logits, changed, GROUPS)["temperature"] == found["temperature"]
    assert found["temperature"] == pytest.approx(2, rel=0.05)
    assert (found["fitted_groups"], found["measured_groups"]) == (4, 4)
    assert sum(found["before"]["pixels"]) == 12 * 40 * 40
    errors = [found[name]["expected_calibration_error"] for name in ("before", "after")]
    assert errors[1] < 0.02 < 0.05 < errors[0]


def test_a_doubt_that_knows_beats_one_that_does_not():
    random = np.random.default_rng(0)
    truth = random.random((24, 16, 16)) < 0.5
    wrong = random.random(truth.shape) < np.linspace(0.02, 0.5, 24)[:, None, None]
    dice = 1 - wrong.mean((1, 2))
    uncertainties = {"averaging": wrong + 0.1 * random.random(wrong.shape), "dropout": random.random(wrong.shape)}
    found = summarize_uncertainty(uncertainties, truth ^ wrong, truth, dice, GROUPS)
    assert found["averaging"]["auroc"]["mean"] == 1
    assert found["dropout"]["auroc"]["mean"] == pytest.approx(0.5, abs=0.05)
    areas = {name: summary["risk_area"] for name, summary in found.items()}
    assert areas["perfect"] <= areas["averaging"] < areas["dropout"]
    assert areas["none"] == pytest.approx(1 - dice.mean())
    assert found["none"]["risk"][-1] == pytest.approx(found["averaging"]["risk"][-1])
    assert found["averaging"]["coverage"][-1] == 1


def test_worst_tiles_are_named_with_their_causes():
    dice = np.array([0.9, 0.2, 0.8, 0.3, *[0.95] * 16])
    causes = {"blur": np.arange(20) == 1, "crowding": np.arange(20) < 2}
    found = summarize_failures(dice, causes, np.arange(100, 120))
    assert found["worst"] == [
        {"tile": 101, "dice": 0.2, "causes": ["blur", "crowding"]},
        {"tile": 103, "dice": 0.3, "causes": []},
    ]
    assert found["causes"]["blur"]["n_worst"] == 1


def test_sources_have_an_interval_from_five_groups_on():
    groups = np.array([*(f"alpha-{number}" for number in range(6)), "beta-1", "beta-2"])
    sources = np.array(["alpha"] * 6 + ["beta"] * 2)
    truth = np.zeros((8, 16, 16), bool)
    truth[:, :, 8:] = True
    predicted = truth.copy()
    predicted[:6, :, 7] = True  # alpha: one pixel too wide
    predicted[6:, :, :2] = True  # beta: invented, far from the outline
    dice = np.array([0.5, 0.7, 0.6, 0.6, 0.6, np.nan, 0.8, 0.9])
    found = summarize_sources(predicted, truth, dice, groups, sources)
    assert (found["alpha"]["n"], found["alpha"]["groups"]) == (5, 6)
    assert found["alpha"]["dice"]["mean"] == pytest.approx(0.6)
    low, high = found["alpha"]["dice"]["interval"]
    assert low < 0.6 < high
    assert found["alpha"]["near_outlines"] == {"wrong": 1.0, "all": pytest.approx(4 / 16)}
    assert found["beta"]["near_outlines"]["wrong"] == 0
    assert found["beta"]["dice"] == {"mean": pytest.approx(0.85), "interval": None}
    right = summarize_sources(truth, truth, dice, groups, sources)
    assert right["beta"]["near_outlines"]["wrong"] is None
