"""The published figures of an explained run."""

import dataclasses
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from folds import write_example
from tiny_run import read_results

from helpers.data.prepare import prepare
from helpers.errors import InputError, InputWarning
from helpers.evaluation.evaluation import evaluate
from helpers.evaluation.subject import open_subject
from helpers.report import published_figures
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
    assert list(figures)[-7:] == [*EXPLAINED, "fig14_nuclei.png", "fig15_areas.png"]


def test_the_first_picture_shows_image_found_and_truth(figures):
    axes = figures["fig00_result.png"].axes
    assert [axis.get_title() for axis in axes] == ["image", "found by the model", "drawn by people"]
    assert axes[0].images[0].get_array().shape == (256, 256, 3)


def test_a_picture_smaller_than_a_tile_is_shown_whole(arguments, tmp_path):
    subject, _, validation, _ = arguments
    folder = write_example(tmp_path / "small", 3, groups=["a", "b", "c"], positions=[[0, 0]] * 3)
    np.save(folder / "Images/extents.npy", [[100, 90]] * 3)
    cache = prepare(folder, subject.recipe.image_size, subject.recipe.labels, progress=False)
    subject = dataclasses.replace(subject, results={"data": {"path": str(folder)}})
    rows = [row | {"name": name} for row, name in zip(validation["images"][:1] * 3, "abc", strict=True)]
    with pytest.warns(InputWarning, match="the colours are not those"):  # it is noise
        figure = published_figures._draw_result(subject, cache, np.arange(3), {"images": rows})
    assert {axis.images[0].get_array().shape[:2] for axis in figure.axes} == {(100, 90)}
    shutil.rmtree(folder)


def test_a_changed_data_set_is_refused(arguments):
    subject, run, validation, history = arguments
    with pytest.raises(InputError, match="the data set has changed since the model was scored on it"):
        draw_figures(subject, run, validation | {"digest": "0" * 64}, history)
