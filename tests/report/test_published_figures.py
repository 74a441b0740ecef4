"""The published figures of an explained run."""

import matplotlib.pyplot as plt
import pytest
from tiny_run import read_results

from helpers.errors import InputError
from helpers.inference.trained_model import load_model
from helpers.report.published_figures import draw_explanation
from helpers.training.checkpoints import export_weights
from helpers.training.run import BEST


@pytest.fixture(scope="module")
def model(explained_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "weights.safetensors"
    export_weights(explained_run / BEST, path)
    return load_model(path)


def test_figures_of_an_explanation(explained_run, model):
    figures = draw_explanation(read_results(explained_run), model)
    assert list(figures) == [
        "fig09_faithfulness.png", "fig10_sanity.png", "fig11_doubt.png", "fig12_examination.png", "fig13_worst.png",
    ]  # fmt: skip
    plt.close("all")


def test_without_an_explanation_there_is_nothing_to_draw(finished_run, model):
    assert draw_explanation(read_results(finished_run.folder), model) == {}


def test_a_changed_data_set_is_refused(explained_run, model):
    results = read_results(explained_run)
    results["data"]["digest"] = "0" * 64
    with pytest.raises(InputError, match="the data set has changed since the run"):
        draw_explanation(results, model)
