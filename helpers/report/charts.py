"""What is drawn of data, training, scores and explanations. Every function takes computed values and returns a Figure.

Overlays and heat maps are in `overlays`, the network's diagram in `diagram`.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

from helpers.config import CLASS_NAMES
from helpers.evaluation.uncertainty import UNCERTAINTIES, UNCERTAINTY_NAMES
from helpers.explanation.faithfulness import CONTROLS, CURVES, OCCLUSION
from helpers.explanation.verdicts import ALIKE
from helpers.report.palette import (
    COLOURS,
    HALF,
    MARK_COLOUR,
    TRAIN_COLOUR,
    VALIDATION_COLOUR,
    WIDE,
    subplots,
)
from helpers.saving.colours import CLASS_COLOURS
from helpers.training.results import Evaluation


def plot_class_balance(nuclei: np.ndarray, pixel_shares: Sequence[float]) -> Figure:
    """Draw how many nuclei each class has, and how much of the pixels is nuclei.

    Args:
        nuclei: `(N, 5)` nuclei of each class in each tile.
        pixel_shares: shares of pixels of background and nuclei, 0 to 1.
    """
    figure, (left, right) = subplots(1, 2, WIDE, width_ratios=(2, 1))
    sns.barplot(
        x=list(CLASS_NAMES), y=nuclei.sum(0), hue=list(CLASS_NAMES), palette=CLASS_COLOURS, saturation=1, legend=False,
        ax=left,
    )  # fmt: skip
    left.set(title="Nuclei by class", ylabel="nuclei")
    for bars in left.containers:
        left.bar_label(bars, fmt="{:,.0f}")
    sns.barplot(x=["background", "nuclei"], y=list(pixel_shares), color=TRAIN_COLOUR, saturation=1, ax=right)
    right.set(title="Pixels", ylabel="share", ylim=(0, 1))
    return figure


def plot_history(history: pd.DataFrame, best_epoch: int, early_stop: int | None = None) -> Figure:
    """Draw losses and validation Dice over the epochs, with the best epoch and the one where early stopping ends.

    Args:
        history: a row for each epoch, index `epoch`, columns `train_loss`, `val_loss`, `val_dice`, `val_iou`.
        best_epoch: the one whose weights were kept.
        early_stop: the epoch after which early stopping ends the run, or None.
    """
    figure, (left, right) = subplots(1, 2, WIDE)
    left.plot(history.index, history["train_loss"], color=TRAIN_COLOUR, marker=".", label="training")
    left.plot(history.index, history["val_loss"], color=VALIDATION_COLOUR, marker=".", label="validation")
    left.set(title="Loss (cross-entropy + Dice)", xlabel="epoch", ylabel="loss")
    right.plot(history.index, history["val_dice"], color=VALIDATION_COLOUR, marker=".", label="Dice")
    right.plot(history.index, history["val_iou"], color=VALIDATION_COLOUR, marker=".", alpha=0.4, label="IoU")
    right.set(title="Validation Dice and IoU", xlabel="epoch", ylabel="score", ylim=(0, 1))
    for axes in (left, right):
        axes.axvline(best_epoch, color=MARK_COLOUR, ls="--", lw=1, label="best epoch")
        if early_stop is not None:
            axes.axvline(early_stop, color=MARK_COLOUR, ls=":", lw=1, label="early stopping")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    return figure


def plot_confusion(counts: np.ndarray) -> Figure:
    """Draw the pixels' confusion matrix, each row as shares of its true class.

    Args:
        counts: `(N, 4)`, as from `metrics.count_pixels`.
    """
    tp, fp, fn, tn = np.asarray(counts).sum(0)
    matrix = np.array([[tn, fp], [fn, tp]], dtype=float)
    names = ["background", "nuclei"]
    figure, axes = subplots(1, 1, HALF)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    sns.heatmap(
        shares, vmin=0, vmax=1, cmap="Blues", annot=True, fmt=".3f", square=True, xticklabels=names, yticklabels=names,
        cbar_kws={"label": "share of the true class"}, ax=axes,
    )  # fmt: skip
    axes.set(title="Pixels", xlabel="predicted", ylabel="true")
    return figure


def plot_scores_by_tissue(by_tissue: dict[str, dict], overall: float | None) -> Figure:
    """Draw Dice by tissue with its 95 % interval, where there is one, beside the overall mean.

    Args:
        by_tissue: as in `evaluation.summarize`.
        overall: Dice over all images, or None where none has nuclei.
    """
    known = {name: scores for name, scores in by_tissue.items() if scores["dice"] is not None}
    names = sorted(known, key=lambda name: known[name]["dice"])
    figure, axes = subplots(1, 1, HALF)
    for row, name in enumerate(names):
        if known[name]["interval"] is not None:
            axes.plot(known[name]["interval"], [row, row], color=TRAIN_COLOUR, lw=2, alpha=0.5)
        axes.plot(known[name]["dice"], row, "o", color=TRAIN_COLOUR)
    if overall is not None:
        axes.axvline(overall, color=MARK_COLOUR, ls="--", lw=1, label="all images")
        axes.legend(frameon=False, loc="lower left")
    axes.set_yticks(range(len(names)), [f"{name} (n = {known[name]['n_with_nuclei']})" for name in names])
    axes.set(title="Dice by tissue", xlabel="Dice", xlim=(0, 1))
    return figure


def plot_predictor_scores(entry: Evaluation, names: dict[str, str]) -> Figure:
    """Draw the Dice of the network beside what needs no learning, with 95 % intervals.

    Args:
        entry: as from `evaluation.evaluate`.
        names: what to call each predictor, from the top down.
    """
    figure, axes = subplots(1, 1, HALF)
    upwards = [key for key in reversed(names) if key in entry["predictors"]]
    for row, key in enumerate(upwards):
        predictor = entry["predictors"][key]
        colour = VALIDATION_COLOUR if key == "model" else TRAIN_COLOUR
        dice, interval = predictor["scores"]["dice"], predictor["intervals"]["dice"]
        if dice is not None:
            axes.barh(row, dice, color=colour, height=0.6)
        if interval is not None:
            axes.plot(interval, [row, row], color="black", lw=1.5)
    axes.set_yticks(range(len(upwards)), [names[key] for key in upwards])
    axes.set(title="Dice on whole images", xlabel="Dice", xlim=(0, 1))
    return figure


def plot_areas(nuclei: pd.DataFrame, mm2: float) -> Figure:
    """Draw the area of nuclei by kind, as each side sees it, with how many there are on a square millimetre.

    Args:
        nuclei: a row for each, with the columns `side`, `kind` and `area_um2`.
        mm2: area of the tissue they are of.
    """
    figure, axis = subplots(1, 1, (WIDE[0], 3.6))
    kinds = sorted(set(nuclei["kind"]))
    sides = list(dict.fromkeys(nuclei["side"]))
    sns.boxplot(
        nuclei, x="area_um2", y="kind", hue="side", order=kinds, hue_order=sides, ax=axis, fliersize=0, linewidth=0.8,
        palette=dict(zip(sides, COLOURS, strict=False)),
    )  # fmt: skip
    counts = nuclei.groupby(["kind", "side"]).size()
    told = [", ".join(f"{side} {counts.get((kind, side), 0) / mm2:,.0f}" for side in sides) for kind in kinds]
    axis.set_yticks(range(len(kinds)), [f"{kind}\n({each} / mm²)" for kind, each in zip(kinds, told, strict=True)])
    axis.set(xlabel="area of a nucleus in µm²", ylabel="", xlim=(0, nuclei["area_um2"].quantile(0.99)))
    axis.legend(frameon=False, fontsize=8, title="")
    return figure


def read_as_jpeg(path: Path | str) -> bytes:
    """Read a published figure as JPEG, a third as large, so that a notebook that holds several stays small."""
    with Image.open(path) as image, io.BytesIO() as buffer:
        image.convert("RGB").save(buffer, "jpeg", quality=40)
        return buffer.getvalue()


def plot_deletion_insertion(explanation: dict) -> Figure:
    """Draw the curves of the best Grad-CAM and Grad-CAM++ map, of occlusion, and of both controls."""
    maps = explanation["faithfulness"]["maps"]
    shown = []
    for method in ("Grad-CAM,", "Grad-CAM++,"):
        named = [name for name in maps if name.startswith(method) and maps[name]["n"]]
        shown += sorted(named, key=lambda name: -maps[name]["gain"]["mean"])[:1]
    shown += [name for name in (OCCLUSION, *CONTROLS) if maps[name]["n"]]
    figure, axes = subplots(1, 2, WIDE)
    for axis, kind in zip(axes, CURVES, strict=True):
        for name, colour in zip(shown, COLOURS, strict=False):
            area = maps[name]["areas"][kind]["mean"]
            axis.plot(
                maps[name]["shares"], maps[name]["curves"][kind], color=colour, marker=".",
                ls="--" if name in CONTROLS else "-", label=f"{name}: {area:.2f}",
            )  # fmt: skip
        axis.set(title=f"{kind.capitalize()}, hottest first", xlabel="share of the blocks", ylabel="nuclear logit left")
        if shown:
            below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncols": 2}
            axis.legend(**below, frameon=False, fontsize=8, title="area", title_fontsize=8)
    return figure


def plot_cascade(explanation: dict) -> Figure:
    """Draw the rank correlation of every map with the trained one's, as the network unlearns from the top down."""
    frame = pd.DataFrame(
        {
            name: {network: correlation["mean"] for network, correlation in networks.items()}
            for name, networks in explanation["sanity"]["maps"].items()
        },
        dtype=float,
    ).T
    figure, axis = subplots(1, 1, (WIDE[0], 4.8))
    sns.heatmap(
        frame, vmin=-1, vmax=1, cmap="RdBu_r", annot=True, fmt=".2f", annot_kws={"fontsize": 7},
        cbar_kws={"label": "rank correlation with the trained map"}, ax=axis,
    )  # fmt: skip
    axis.set(
        title=f"Sanity: what is left of a map (a pass is under {ALIKE} in the last columns)",
        xlabel="made random, from the head down",
    )
    axis.tick_params(axis="x", rotation=30, labelsize=8)
    axis.tick_params(axis="y", labelsize=8)
    return figure


def plot_uncertainty(explanation: dict) -> Figure:
    """Draw reliability before and after the temperature, and the Dice that is lost as less sure tiles are kept."""
    figure, (left, right) = subplots(1, 2, WIDE)
    left.plot([0, 1], [0, 1], color=MARK_COLOUR, ls=":", lw=1, label="perfect")
    for name, colour in (("before", TRAIN_COLOUR), ("after", VALIDATION_COLOUR)):
        measured = explanation["calibration"][name]
        predicted, observed = (np.array(measured[key], dtype=float) for key in ("predicted", "observed"))
        error = measured["expected_calibration_error"]
        left.plot(predicted, observed, color=colour, marker=".", label=f"{name} temperature: {error:.4f}")
    left.set(
        title="Reliability of pixels", xlabel="predicted probability", ylabel="share that is nucleus",
        xlim=(0, 1), ylim=(0, 1),
    )  # fmt: skip
    left.legend(frameon=False, fontsize=8, title="expected calibration error", title_fontsize=8)
    for (name, summary), colour in zip(explanation["uncertainty"].items(), COLOURS, strict=True):
        right.plot(
            summary["coverage"], summary["risk"], color=colour, marker="." if name in UNCERTAINTIES else None,
            ls="-" if name in UNCERTAINTIES else "--", label=f"{UNCERTAINTY_NAMES[name]}: {summary['risk_area']:.3f}",
        )  # fmt: skip
    right.set(title="Risk and coverage of tiles", xlabel="share of tiles kept, surest first", ylabel="1 - mean Dice")
    right.set_ylim(bottom=0)
    right.legend(frameon=False, fontsize=7, title="area under risk", title_fontsize=8, loc="lower right")
    return figure
