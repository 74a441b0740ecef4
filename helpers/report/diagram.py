"""The network's diagram, drawn from the stages that were measured."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.report.palette import DPI, MARK_COLOUR, TRAIN_COLOUR, VALIDATION_COLOUR

BOX_WIDTH, BOX_HEIGHT = 1.7, 0.6


def plot_architecture(stages: list[dict[str, str]]) -> Figure:
    """Draw encoder, skips and decoder as a U, each stage with its channels and scale.

    Args:
        stages: rows of `stage` and `measured`, as from `stages.stage_table`: encoder 0-5, decoder 4-0, output.
    """
    measured = {row["stage"]: row["measured"] for row in stages}
    # Both arms stand at the height of their scale; stages that share one stand side by side.
    places = {"image": (0, 5)} | {f"encoder {level}": (0, 5 - level) for level in range(1, 6)}
    places["encoder 0"] = (-2.2, 4)
    places |= {f"decoder {level}": (4, 5 - level) for level in range(5)} | {"output": (6.2, 5)}
    figure, axes = plt.subplots(figsize=(9.0, 4.6), dpi=DPI, layout="constrained")
    for stage, (x, y) in places.items():
        text = "RGB image\n3, H" if stage == "image" else f"{stage}\n{measured[stage]}"
        colour = VALIDATION_COLOUR if stage.startswith(("decoder", "output")) else TRAIN_COLOUR
        _box(axes, x, y, text, colour)
    order = ["image", *(f"encoder {level}" for level in range(6)), *(f"decoder {level}" for level in range(4, -1, -1))]
    for start, end in zip(order, [*order[1:], "output"], strict=True):
        _arrow(axes, places[start], places[end], "-")
    for level in range(1, 5):
        _arrow(axes, places[f"encoder {level}"], places[f"decoder {level}"], ":")
    axes.text(2, 4.28, "skips: concatenate", ha="center", fontsize=9, color=MARK_COLOUR)
    axes.text(
        4.95, 2.5, "bilinear x 2,\ntwo 3 x 3\nconvolutions", ha="left", va="center", fontsize=9, color=MARK_COLOUR
    )
    axes.text(5.1, 5.42, "1 x 1 convolution", ha="center", fontsize=9, color=MARK_COLOUR)
    axes.set(xlim=(-3.3, 7.3), ylim=(-0.5, 5.7))
    axes.axis("off")
    return figure


def _box(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    box = {"boxstyle": "round,pad=0.35", "facecolor": "white", "edgecolor": colour, "linewidth": 1.5}
    axes.text(x, y, text, ha="center", va="center", fontsize=9, bbox=box, zorder=3)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
    properties = {"arrowstyle": "->", "linestyle": style, "color": MARK_COLOUR, "shrinkA": 26, "shrinkB": 26}
    if start[0] == end[0]:  # boxes are wider than high
        properties |= {"shrinkA": 15, "shrinkB": 15}
    elif start[1] == end[1]:
        properties |= {"shrinkA": 36, "shrinkB": 36}
    axes.annotate("", xy=end, xytext=start, arrowprops=properties, zorder=2)
