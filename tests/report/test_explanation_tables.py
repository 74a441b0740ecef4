"""Tables and sentences of explanations, from measured and from made numbers."""

import copy

import pytest
from tiny_run import read_results

from helpers.explanation.faithfulness import ALL_RANDOM, CONTROLS, LEARNT, SHUFFLED
from helpers.explanation.verdicts import prefer_map
from helpers.report.explanation_tables import (
    calibration_table,
    cascade_table,
    cause_table,
    describe_maps,
    describe_uncertainty,
    draw_conclusion,
    faithfulness_table,
    judge_map,
    source_table,
    uncertainty_table,
)
from helpers.report.tables import MISSING


@pytest.fixture
def explanation(explained_run) -> dict:
    return copy.deepcopy(read_results(explained_run)["explanation"])


def interval(mean: float) -> dict:
    return {"mean": mean, "interval": [mean - 0.1, mean + 0.1]}


def summary(gain: float, darkness: float = 0.4) -> dict:
    """Make a map's faithfulness; chance gains nothing."""
    over = {"random": interval(gain), "darkness": interval(gain - darkness)}
    areas = {"deletion": interval(0.5 - gain / 2), "insertion": interval(0.5 + gain / 2)}
    return {"n": 9, "gain": interval(gain), "over": over, "areas": areas}


def sane(correlation: float = 0.1) -> dict:
    return {name: {"mean": correlation, "n": 9} for name in ("head", ALL_RANDOM, SHUFFLED)}


@pytest.fixture
def made(explanation) -> dict:
    maps = {"clear": summary(0.8), "dark": summary(0.4), "blind": summary(0.0), "edges": summary(0.9)}
    controls = {"random": summary(0.0), "darkness": summary(0.4)}
    sanity = {name: sane() for name in maps} | {"edges": sane(0.9)}
    explanation["faithfulness"]["maps"] = maps | controls
    explanation["sanity"]["maps"] = sanity
    return explanation | {"preferred": prefer_map(maps, sanity)}


def test_verdicts(made):
    table = faithfulness_table(made)
    assert table.index.tolist() == ["edges", "clear", "dark", "darkness", "blind", "random"]
    assert table["verdict"].to_dict() == {
        "clear": "passes", "dark": "not shown to beat darkness", "blind": "not shown to beat chance",
        "edges": "fails sanity", "darkness": MISSING, "random": MISSING,
    }  # fmt: skip
    assert table.loc["clear", "over darkness"] == "+0.400 (0.300 to 0.500)"
    assert table.loc["edges", "like all random"] == "0.90"
    assert table.loc["darkness", "over darkness"] == MISSING


def test_sentences_follow_the_verdicts(made):
    text = describe_maps(made)
    assert "- Passes: clear." in text
    assert "- Fails sanity: edges." in text
    assert "Preferred: **clear**, which beats chance and plain darkness." in text


def test_the_conclusion_goes_as_far_as_the_best_map(made):
    assert "1 of 4 tell more of the network than chance and plain darkness" in draw_conclusion(made)
    maps = made["sanity"]["maps"]
    maps.pop("clear")
    assert "none of 3 was shown to tell more than plain darkness, 1 tell more than chance" in draw_conclusion(made)
    maps.pop("dark")
    assert "none of 2 was shown to tell more than chance" in draw_conclusion(made)


def test_the_conclusion_names_the_doubts_that_outdo_the_cheap_one(made):
    for name, (auroc, risk) in {"confidence": (0.9, 0.2), "averaging": (0.8, 0.1), "dropout": (0.7, 0.15)}.items():
        made["uncertainty"][name] = made["uncertainty"][name] | {"auroc": interval(auroc), "risk_area": risk}
    text = draw_conclusion(made)
    assert "wrong pixels:** the closeness of the probability to 0.5 costs nothing" in text
    assert "0.5 is outdone by spread over flips and turns and spread under Monte Carlo dropout" in text


def test_a_map_that_loses_to_darkness_is_preferred_with_a_warning(made):
    for part in ("faithfulness", "sanity"):
        made[part]["maps"].pop("clear")
    text = describe_maps(made | {"preferred": "dark"})
    assert (
        "Preferred: **dark**, which beats chance; that it tells more than where the tissue is dark was not shown"
        in text
    )
    assert "- Passes" not in text
    assert "none is preferred" in describe_maps(made | {"preferred": None})


def test_too_few_images_are_no_verdict(made):
    few = summary(0.8)
    few["over"] = {name: over | {"interval": None} for name, over in few["over"].items()}
    assert judge_map(few, sane()) == "too few images to tell"


def test_the_control_is_described(made):
    control = {"tiles": 16, "size": 128, "dice": 0.934, "epochs": 18, "best_epoch": 17, "start": "imagenet"}
    for name, (unseen, learnt) in {"clear": (0.6, 0.1), "dark": (0.2, -0.3), "edges": (None, 0.7)}.items():
        networks = made["sanity"]["maps"][name]
        networks[SHUFFLED], networks[LEARNT] = {"mean": unseen, "n": 12}, {"mean": learnt, "n": 16}
    text = describe_maps(made | {"control": control})
    assert "from ImageNet's weights: epoch 17 of 18 on 16 training tiles alone, 128 pixels a side" in text
    assert "It knows them by heart: its Dice on these masks, in evaluation mode, is 0.934, where 0.9" in text
    assert "On 16 of the tiles that it learnt, asked" in text
    assert "correlations of -0.30 (dark) to 0.70 (edges); alike: edges." in text
    assert "On 12 validation tiles, new to both" in text
    assert "correlations of 0.10 (blind) to 0.60 (clear); alike: clear." in text
    assert "weak evidence" not in text
    weak = describe_maps(made | {"control": control | {"dice": 0.4, "start": "random"}})
    assert "from a random start" in weak
    assert "It did not learn them: its Dice on these masks, in evaluation mode, is 0.400" in weak
    assert "So it is weak evidence that its maps differ." in weak


def test_insane_is_said_before_unfaithful():
    assert judge_map(summary(0.0), sane(0.8)) == "fails sanity"


def test_measured_tables_have_a_row_for_each(explanation):
    assert set(CONTROLS) < set(faithfulness_table(explanation).index)
    assert set(cascade_table(explanation).index) == set(explanation["sanity"]["maps"])
    assert len(uncertainty_table(explanation)) == 5
    assert calibration_table(explanation).index.tolist() == ["before", "after"]
    assert len(cause_table(explanation)) == 5
    assert source_table(explanation)["n"].sum() <= explanation["tiles"]


def test_a_doubt_that_misleads_where_it_is_surest_is_named(explanation):
    for name in ("confidence", "averaging", "dropout"):
        coverage = explanation["uncertainty"][name]["coverage"]
        explanation["uncertainty"][name]["risk"] = [0.2 if share < 0.15 else 0.1 for share in coverage]
    explanation["uncertainty"]["dropout"]["risk"] = [0.1 for _ in coverage[:-1]] + [0.15]
    text = describe_uncertainty(explanation)
    assert text.count("the surest tenth of the tiles loses 0.200 of Dice, no less than all of them (0.100)") == 2
    assert "- By the closeness of the probability to 0.5 the surest tenth" in text


def test_what_gains_less_than_a_control_loses_to_it(made):
    assert judge_map(summary(-0.4), sane()) == "loses to chance"
    assert judge_map(summary(0.4, darkness=0.8), sane()) == "loses to darkness"
    made["faithfulness"]["maps"]["dark"] = summary(0.4, darkness=0.8)
    made["sanity"]["maps"].pop("clear")
    assert "- Loses to darkness: dark." in describe_maps(made | {"preferred": "dark"})
    assert "plain darkness, 1 tell more than chance" in draw_conclusion(made)


def test_doubt_in_words(explanation):
    for name, auroc, area in (("confidence", 0.9, 0.2), ("averaging", 0.8, 0.1), ("dropout", 0.6, 0.3)):
        explanation["uncertainty"][name] |= {"auroc": interval(auroc), "risk_area": area}
    explanation["calibration"] |= {"temperature": 1.5}
    explanation["calibration"]["before"]["expected_calibration_error"] = 0.02
    explanation["calibration"]["after"]["expected_calibration_error"] = 0.01
    text = describe_uncertainty(explanation)
    assert "found best by the closeness of the probability to 0.5 (AUROC 0.900; the others 0.800 and 0.600)" in text
    assert "found best by the spread over flips and turns: area under risk 0.100 (the others 0.200 and 0.300)" in text
    assert "too sure of itself" in text
    assert "goes from 0.0200 to 0.0100." in text
    explanation["calibration"]["after"]["expected_calibration_error"] = 0.03
    assert "which mends nothing" in describe_uncertainty(explanation)
