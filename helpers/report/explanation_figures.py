"""What is drawn of measured explanations and doubt. All take an explanation as from `explanation.explain_tiles`."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from helpers.evaluation.uncertainty import DOUBT_NAMES, DOUBTS
from helpers.explanation.faithfulness import CONTROLS, CURVES, OCCLUSION
from helpers.explanation.verdicts import ALIKE
from helpers.report.charts import CLASS_COLOURS, MARK_COLOUR, TRAIN_COLOUR, VALIDATION_COLOUR, WIDE, subplots

COLOURS = [TRAIN_COLOUR, VALIDATION_COLOUR, CLASS_COLOURS["Inflammatory"], CLASS_COLOURS["Epithelial"], MARK_COLOUR]


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
    figure, axis = subplots(1, 1, (WIDE[0], 4.2))
    sns.heatmap(
        frame, vmin=-1, vmax=1, cmap="RdBu_r", annot=True, fmt=".2f", annot_kws={"fontsize": 7},
        cbar_kws={"label": "rank correlation with the trained network's map"}, ax=axis,
    )  # fmt: skip
    axis.set(
        title=f"Sanity: what is left of a map (a pass is under {ALIKE} in the last columns)",
        xlabel="made random, from the head down",
    )
    axis.tick_params(axis="x", rotation=30, labelsize=8)
    axis.tick_params(axis="y", labelsize=8)
    return figure


def plot_doubt(explanation: dict) -> Figure:
    """Draw reliability before and after the temperature, and the Dice that is lost as more doubtful tiles are kept."""
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
    for (name, summary), colour in zip(explanation["doubt"].items(), COLOURS, strict=True):
        right.plot(
            summary["coverage"], summary["risk"], color=colour, marker="." if name in DOUBTS else None,
            ls="-" if name in DOUBTS else "--", label=f"{DOUBT_NAMES[name]}: {summary['risk_area']:.3f}",
        )  # fmt: skip
    right.set(title="Risk and coverage of tiles", xlabel="share of tiles kept, surest first", ylabel="1 - mean Dice")
    right.set_ylim(bottom=0)
    right.legend(frameon=False, fontsize=7, title="area under risk", title_fontsize=8, loc="lower right")
    return figure
