"""Figures hold what they were given."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from tiny_run import read_results

from helpers.config import CLASS_NAMES
from helpers.report.charts import (
    plot_areas,
    plot_cascade,
    plot_class_balance,
    plot_confusion,
    plot_deletion_insertion,
    plot_history,
    plot_predictor_scores,
    plot_scores_by_tissue,
    plot_uncertainty,
    read_as_jpeg,
)
from helpers.report.palette import DPI, HALF, TRAIN_COLOUR, VALIDATION_COLOUR, WIDE
from helpers.saving.colours import CLASS_COLOURS


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def drawn(figure) -> np.ndarray:
    """Draw a figure, for what only warns or fails then."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def lines(axes) -> dict[str, tuple[list, list]]:
    """Give the points of each labelled line."""
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def ticks(axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_class_balance():
    nuclei = np.array([[1000, 2, 3, 0, 5], [500, 0, 3, 0, 1]])
    figure = plot_class_balance(nuclei, (0.85, 0.15))
    left, right = figure.axes
    assert [bar.get_height() for bar in left.patches] == [1500, 2, 6, 0, 6]
    # seaborn would take a quarter of the colour away, and the bars would not be those of the outlines.
    assert [to_hex(bar.get_facecolor()).upper() for bar in left.patches] == list(CLASS_COLOURS.values())
    assert [text.get_text() for text in left.texts] == ["1,500", "2", "6", "0", "6"]
    assert [text.get_text() for text in left.get_xticklabels()] == list(CLASS_NAMES)
    assert [bar.get_height() for bar in right.patches] == [0.85, 0.15]
    assert tuple(figure.get_size_inches()) == WIDE
    assert figure.dpi == DPI
    drawn(figure)


@pytest.fixture
def history() -> pd.DataFrame:
    columns = {"train_loss": [1.2, 0.9, 0.8], "val_loss": [1.3, 1.0, 1.1]}
    columns |= {"val_dice": [0.4, 0.7, 0.6], "val_iou": [0.3, 0.6, 0.5]}
    return pd.DataFrame(columns, index=pd.Index([1, 2, 3], name="epoch"))


def test_history(history):
    figure = plot_history(history, best_epoch=2, early_stop=3)
    left, right = figure.axes
    epochs = [1, 2, 3]
    assert lines(left)["training"] == (epochs, [1.2, 0.9, 0.8])
    assert lines(left)["validation"] == (epochs, [1.3, 1.0, 1.1])
    assert lines(right)["Dice"] == (epochs, [0.4, 0.7, 0.6])
    assert lines(right)["IoU"] == (epochs, [0.3, 0.6, 0.5])
    for axes in (left, right):
        assert lines(axes)["best epoch"][0] == [2, 2]
        assert lines(axes)["early stopping"][0] == [3, 3]
        assert legend(axes)[-2:] == ["best epoch", "early stopping"]
    assert right.get_ylim() == (0, 1)
    drawn(figure)
    assert all(float(tick).is_integer() for tick in left.get_xticks())


def test_history_without_early_stopping(history):
    for axes in plot_history(history, best_epoch=2).axes:
        assert "early stopping" not in lines(axes)


def test_history_of_one_epoch_without_a_nucleus(history):
    history = history[:1].assign(val_dice=np.nan, val_iou=np.nan)
    figure = plot_history(history, best_epoch=1, early_stop=1)
    assert lines(figure.axes[0])["training"] == ([1], [1.2])
    drawn(figure)


def test_one_colour_for_training_and_one_for_validation(history):
    left, right = plot_history(history, best_epoch=2).axes
    colours = {line.get_label(): line.get_color() for axes in (left, right) for line in axes.get_lines()}
    assert colours["training"] == TRAIN_COLOUR
    assert colours["validation"] == colours["Dice"] == colours["IoU"] == VALIDATION_COLOUR


def test_confusion():
    # TP, FP, FN, TN: 80 nuclei pixels of which 60 are found; 120 of background of which 30 are invented.
    figure = plot_confusion(np.array([[50, 10, 15, 40], [10, 20, 5, 50]]))
    axes, bar = figure.axes
    (mesh,) = axes.collections
    np.testing.assert_allclose(mesh.get_array().reshape(2, 2), [[0.75, 0.25], [0.25, 0.75]])
    assert [text.get_text() for text in axes.texts] == ["0.750", "0.250", "0.250", "0.750"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert ticks(axes) == ["background", "nuclei"]
    assert mesh.get_clim() == (0, 1)
    assert bar.get_ylabel() == "share of the true class"
    assert tuple(figure.get_size_inches()) == HALF


def test_confusion_tells_missed_from_invented():
    (mesh,) = plot_confusion(np.array([[9, 40, 1, 60]])).axes[0].collections
    np.testing.assert_allclose(mesh.get_array().reshape(2, 2), [[0.6, 0.4], [0.1, 0.9]])


def test_confusion_of_blank_tiles():
    figure = plot_confusion(np.array([[0, 0, 0, 100]]))
    (mesh,) = figure.axes[0].collections
    np.testing.assert_array_equal(mesh.get_array().reshape(2, 2), [[1, 0], [0, 0]])
    drawn(figure)


def tissue(dice: float | None, interval: tuple[float, float] | None = None, n: int = 3) -> dict:
    return {"dice": dice, "interval": interval, "n_with_nuclei": n}


def test_scores_by_tissue_from_the_worst_up():
    by_tissue = {
        "Breast": tissue(0.8, (0.7, 0.9)),
        "Skin": tissue(None, n=0),
        "Colon": tissue(0.6, n=1),
        "Liver": tissue(0.9, (0.85, 0.95), n=7),
    }
    figure = plot_scores_by_tissue(by_tissue, 0.75)
    (axes,) = figure.axes
    assert ticks(axes) == ["Colon (n = 1)", "Breast (n = 3)", "Liver (n = 7)"]
    found = [(list(np.atleast_1d(line.get_xdata())), list(np.atleast_1d(line.get_ydata()))) for line in axes.lines]
    assert found[:5] == [
        ([0.6], [0]),
        ([0.7, 0.9], [1, 1]),
        ([0.8], [1]),
        ([0.85, 0.95], [2, 2]),
        ([0.9], [2]),
    ]
    assert lines(axes)["all images"][0] == [0.75, 0.75]
    assert legend(axes) == ["all images"]
    drawn(figure)


def test_scores_by_tissue_without_any_nuclei():
    figure = plot_scores_by_tissue({"Skin": tissue(None, n=0)}, None)
    (axes,) = figure.axes
    assert (len(axes.lines), ticks(axes), axes.get_legend()) == (0, [], None)
    drawn(figure)


def predictor(dice: float | None, interval: list | None) -> dict:
    return {"scores": {"dice": dice}, "intervals": {"dice": interval}}


def test_predictor_scores():
    entry = {"name": "made", "part": "all"}
    entry["predictors"] = {
        "model": predictor(0.8, (0.7, 0.9)),
        "darkest_fifth": predictor(0.6, None),
        "untrained": predictor(None, None),
    }
    figure = plot_predictor_scores(entry, {"model": "ours", "darkest_fifth": "dark", "untrained": "raw"})
    (axes,) = figure.axes
    assert ticks(axes) == ["raw", "dark", "ours"]  # from below: the network stands on top
    bars = {round(bar.get_y() + bar.get_height() / 2): bar for bar in axes.patches}
    assert {row: bar.get_width() for row, bar in bars.items()} == {1: 0.6, 2: 0.8}
    assert to_hex(bars[2].get_facecolor()) == VALIDATION_COLOUR.lower()
    assert to_hex(bars[1].get_facecolor()) == TRAIN_COLOUR.lower()
    (line,) = axes.lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0.7, 0.9], [2, 2])
    assert axes.get_title() == "Dice on whole images"
    assert axes.get_xlim() == (0, 1)
    drawn(figure)


def test_intervals_that_are_not_known_are_not_drawn():
    entry = {"name": "made", "part": "all", "predictors": {"model": predictor(0.8, [None, None])}}
    drawn(plot_predictor_scores(entry, {"model": "ours"}))
    drawn(plot_scores_by_tissue({"Skin": tissue(0.5, [None, None])}, 0.5))


def test_a_published_figure_becomes_a_smaller_jpeg(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (80, 120, 3), np.uint8)
    Image.fromarray(noise).quantize(256).save(tmp_path / "figure.png")
    data = read_as_jpeg(tmp_path / "figure.png")
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (120, 80), "RGB")


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
    left, right = plot_uncertainty(explanation).axes
    assert len(left.lines) == 3
    assert len(right.lines) == len(explanation["uncertainty"])
    observed = np.array(explanation["calibration"]["before"]["observed"], dtype=float)
    np.testing.assert_array_equal(left.lines[1].get_ydata(), observed)


def test_areas_stand_by_kind_with_their_number_on_a_square_millimetre():
    nuclei = pd.DataFrame(
        {
            "side": ["found", "found", "drawn", "found"],
            "kind": ["Other", "Other", "Other", "Epithelial"],
            "area_um2": [20.0, 30.0, 40.0, 50.0],
        }
    )
    (axis,) = plot_areas(nuclei, mm2=0.5).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "Epithelial\n(found 2, drawn 0 / mm²)",
        "Other\n(found 4, drawn 2 / mm²)",
    ]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["found", "drawn"]
