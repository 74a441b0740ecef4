"""Figures of an explanation hold what was measured."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from tiny_run import read_results

from helpers.report.explanation_figures import plot_cascade, plot_deletion_insertion, plot_doubt


@pytest.fixture
def explanation(explained_run) -> dict:
    yield read_results(explained_run)["explanation"]
    plt.close("all")


def test_curves(explanation):
    left, right = plot_deletion_insertion(explanation).axes
    maps = explanation["faithfulness"]["maps"]
    for axis, kind in ((left, "deletion"), (right, "insertion")):
        labels = [line.get_label() for line in axis.lines]
        shown = [label.rsplit(":", 1)[0] for label in labels]
        assert {"random", "darkness", "occlusion"} < set(shown)
        for name, line in zip(shown, axis.lines, strict=True):
            np.testing.assert_allclose(line.get_ydata(), maps[name]["curves"][kind])


def test_cascade_has_a_row_for_each_map(explanation):
    axis, bar = plot_cascade(explanation).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == list(explanation["sanity"]["maps"])
    assert bar.get_ylabel()


def test_reliability_and_risk(explanation):
    left, right = plot_doubt(explanation).axes
    assert len(left.lines) == 3
    assert len(right.lines) == len(explanation["doubt"])
    observed = np.array(explanation["calibration"]["before"]["observed"], dtype=float)
    np.testing.assert_array_equal(left.lines[1].get_ydata(), observed)
