"""The published figures of an explained run."""

import dataclasses

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from tiny_run import read_results

from helpers.errors import InputError
from helpers.evaluation.evaluation import evaluate
from helpers.evaluation.subject import open_subject
from helpers.report.published_figures import draw_figures

EXPLAINED = [
    "fig09_faithfulness.png", "fig10_sanity.png", "fig11_uncertainty.png", "fig12_examination.png", "fig13_worst.png",
]  # fmt: skip


@pytest.fixture(scope="module")
def arguments(explained_run):
    """What is drawn: the model, its run's results, its validation scores, its history."""
    validation = evaluate(explained_run, explained_run.parent / "slides")
    history = pd.read_csv(explained_run / "history.csv", index_col="epoch")
    subject = open_subject(explained_run)
    model = dataclasses.replace(subject.model, attention="Grad-CAM, decoder 1")
    return dataclasses.replace(subject, model=model), read_results(explained_run), validation, history


@pytest.fixture(scope="module")
def figures(arguments):
    yield draw_figures(*arguments)
    plt.close("all")


def test_figures_of_an_explanation_follow_those_of_the_run(figures):
    assert list(figures) == sorted(figures)
    assert list(figures)[-5:] == EXPLAINED


def test_the_first_picture_shows_image_found_and_truth(figures):
    axes = figures["fig00_result.png"].axes
    assert [axis.get_title() for axis in axes] == ["image", "found by the model", "drawn by people"]
    assert axes[0].images[0].get_array().shape == (256, 256, 3)


def test_a_changed_data_set_is_refused(arguments):
    subject, run, validation, history = arguments
    with pytest.raises(InputError, match="the data set has changed since the model was scored on it"):
        draw_figures(subject, run, validation | {"digest": "0" * 64}, history)
