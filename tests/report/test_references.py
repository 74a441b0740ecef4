"""What others print: numbers in range, and the contradictions that the notebook tells of."""

import pytest

from helpers.model import EfficientNetSegmentation
from helpers.report import references
from helpers.report.stages import stage_table


def test_every_stage_of_ours_has_one_of_theirs():
    assert [row["stage"] for row in stage_table(EfficientNetSegmentation(64))] == list(references.STAGES)


def test_their_overall_accuracy_is_the_plain_mean_of_the_two_others():
    theirs = references.RESULTS
    mean = (theirs["background_accuracy"] + theirs["nuclei_accuracy"]) / 2
    assert mean == pytest.approx(theirs["accuracy"], abs=1e-4)


@pytest.mark.parametrize("which", ["best", "final"])
def test_their_dice_is_not_that_of_their_iou(which):
    iou, dice = references.RESULTS[f"{which}_iou"], references.RESULTS[f"{which}_dice"]
    assert 2 * iou / (1 + iou) - dice > 0.05
