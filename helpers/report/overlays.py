"""What is drawn over tissue: truth, prediction, error, attention."""

from collections.abc import Sequence

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from skimage.segmentation import find_boundaries

from helpers.config import CLASS_NAMES, THRESHOLD
from helpers.explanation.examine import Examination
from helpers.inference.segmentation import Segmentation
from helpers.report.examples import Example
from helpers.report.palette import DPI, TRAIN_COLOUR
from helpers.saving.colours import CLASS_COLOURS, KIND_COLOURS, kind_colour

# True positives are left to the tissue's own colour; what is wrong stands out, in colours that all readers tell apart.
ERROR_COLOURS = {"missed (false negative)": (0, 114, 178), "invented (false positive)": (240, 228, 66)}
TRUTH_COLOUR, PREDICTION_COLOUR = (0, 0, 0), (0, 200, 120)
PANEL = 1.6  # inches: one small picture


def draw_contours(image: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], width: int = 1) -> np.ndarray:
    """Draw the outlines of a mask on a copy of an image.

    Args:
        image: `(H, W, 3)` uint8.
        mask: `(H, W)` bool.
        colour: RGB, 0-255.
        width: of the line in pixels.

    Returns:
        `(H, W, 3)` uint8.
    """
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.ascontiguousarray(image).copy(), contours, -1, colour, width)


def draw_nuclei(image: np.ndarray, instances: np.ndarray, kinds: Sequence[str]) -> np.ndarray:
    """Draw on a copy of an image `(H, W, 3)` uint8 the outline of every nucleus, on its own pixels and by its kind.

    `instances` `(H, W)` is numbered from 1; `kinds` gives for each number a name of `colours.KIND_COLOURS`, or "".
    """
    drawn = np.array(image)
    outline = find_boundaries(instances, mode="inner")
    drawn[outline] = np.array([kind_colour(kind) for kind in ("", *kinds)], np.uint8)[instances[outline]]
    return drawn


def draw_errors(image: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Paint missed and invented pixels over a grey copy of an image: `(H, W, 3)` uint8."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    painted = np.repeat(grey[..., None], 3, axis=-1)
    for where, colour in zip((truth & ~predicted, predicted & ~truth), ERROR_COLOURS.values(), strict=True):
        painted[where] = colour
    return painted


def plot_tiles(images: np.ndarray, class_maps: np.ndarray, titles: Sequence[str], typed: bool = True) -> Figure:
    """Draw tiles above the same tiles with the outlines of their nuclei in the colours of the classes.

    Args:
        images: `(n, H, W, 3)` uint8.
        class_maps: `(n, H, W)`, 0 for background, `1 + channel` for a nucleus.
        titles: n texts.
        typed: whether the classes are known; if not, all nuclei get one colour.
    """
    values = {name: (number,) for number, name in enumerate(CLASS_NAMES, 1)} if typed else {"nuclei": range(1, 6)}
    colours = CLASS_COLOURS | {"nuclei": TRAIN_COLOUR}
    present = {name: value for name, value in values.items() if np.isin(class_maps, value).any()}
    figure, axes = _panels(2, len(images))
    for column, (image, class_map, title) in enumerate(zip(images, class_maps, titles, strict=True)):
        outlined = image
        for name, value in present.items():
            outlined = draw_contours(outlined, np.isin(class_map, value), _rgb(colours[name]), 2)
        axes[0, column].imshow(image)
        axes[1, column].imshow(outlined)
        axes[0, column].set_title(title, fontsize=9)
    handles = [Patch(color=colours[name], label=name) for name in present]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def plot_preprocessing(image: np.ndarray, steps: dict[str, tuple[np.ndarray, np.ndarray]], zoom: int = 64) -> Figure:
    """Draw a corner of a tile with the outline of its labels, before and after each way of shrinking.

    Args:
        image: `(S, S, 3)` uint8, for the size of the window.
        steps: title to (image, class map), each `(s, s, ...)` at its own size.
        zoom: side of the window in pixels of the full-size tile, around the tile's middle.
    """
    figure, axes = _panels(1, len(steps), PANEL * 1.35)
    for axis, (title, (shown, class_map)) in zip(axes[0], steps.items(), strict=True):
        scale = shown.shape[0] / image.shape[0]
        middle, half = shown.shape[0] / 2, zoom * scale / 2
        axis.imshow(shown, interpolation="nearest")
        axis.contour(class_map > 0, levels=[0.5], colors="black", linewidths=1.5)
        axis.set(xlim=(middle - half - 0.5, middle + half - 0.5), ylim=(middle + half - 0.5, middle - half - 0.5))
        axis.set_title(title, fontsize=9)
    return figure


def plot_views(rows: Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]) -> Figure:
    """Draw a row for each tile: as it is, then as augmentation turned it out, with the outlines of its nuclei.

    Args:
        rows: of equally many pairs of image `(H, W, 3)` uint8 and mask `(H, W)` bool.
    """
    figure, axes = _panels(len(rows), len(rows[0]), PANEL * 0.85)
    for row, views in zip(axes, rows, strict=True):
        for axis, (image, mask) in zip(row, views, strict=True):
            axis.imshow(draw_contours(image, mask, TRUTH_COLOUR))
    axes[0, 0].set_title("tile", fontsize=9)
    for number, axis in enumerate(axes[0, 1:], 1):
        axis.set_title(f"epoch {number}", fontsize=9)
    return figure


def plot_segmentation(image: np.ndarray, segmentation: Segmentation) -> Figure:
    """Draw an image, the outlines of the nuclei found in it in the colours of their kinds, and their probability.

    Args:
        image: `(H, W, 3)` uint8.
        segmentation: as from `predict.predict`.
    """
    figure, axes = _panels(1, 3, PANEL * 1.6)
    axes[0, 0].imshow(image)
    axes[0, 1].imshow(draw_nuclei(image, segmentation.instances, segmentation.nuclei["kind"]))
    heat = axes[0, 2].imshow(segmentation.probability, vmin=0, vmax=1, cmap="viridis")
    for axis, title in zip(axes[0], ("image", "nuclei found", "probability"), strict=True):
        axis.set_title(title, fontsize=9)
    figure.colorbar(heat, ax=axes[0, 2], shrink=0.7, label="probability of nucleus")
    return figure


def plot_result(image: np.ndarray, found: np.ndarray, truth: np.ndarray) -> Figure:
    """Draw an image, and the same with the outlines of what was found and of the truth.

    Args:
        image: `(H, W, 3)` uint8.
        found: `(H, W)` bool, the nuclei that a model found.
        truth: `(H, W)` bool, those that people drew.
    """
    figure, axes = _panels(1, 3, PANEL * 1.8)
    axes[0, 0].imshow(image)
    axes[0, 1].imshow(draw_contours(image, found, PREDICTION_COLOUR, 2))
    axes[0, 2].imshow(draw_contours(image, truth, TRUTH_COLOUR, 2))
    for axis, title in zip(axes[0], ("image", "found by the model", "drawn by people"), strict=True):
        axis.set_title(title, fontsize=10)
    return figure


def plot_nuclei(rows: dict[str, tuple[np.ndarray, dict[str, tuple[np.ndarray, Sequence[str]]]]]) -> Figure:
    """Draw a row for each image: as it is, and beside it every nucleus in the colour of its kind, as each side sees it.

    Args:
        rows: title to an image and its sides, the same in each row: who says so to the arguments of `draw_nuclei`.
    """
    _, first = next(iter(rows.values()))
    figure, axes = _panels(len(rows), len(first) + 1, PANEL * 1.8)
    for row, (name, (image, sides)) in zip(axes, rows.items(), strict=True):
        row[0].imshow(image)
        row[0].set_ylabel(name, fontsize=9)
        for axis, (title, (instances, kinds)) in zip(row[1:], sides.items(), strict=True):
            axis.imshow(draw_nuclei(image, instances, kinds))
            axis.set_title(f"{title}: {len(kinds)} nuclei", fontsize=9)
    there = {kind for _, sides in rows.values() for _, kinds in sides.values() for kind in kinds}
    handles = [Patch(color=KIND_COLOURS[kind], label=kind or "kind not told") for kind in KIND_COLOURS if kind in there]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def plot_predictions(examples: Sequence[Example]) -> Figure:
    """Draw, a row for each example: the image, truth, prediction and error on one scale, and the probability."""
    figure, axes = _panels(len(examples), 5)
    for row, example in zip(axes, examples, strict=True):
        predicted = example.probability >= THRESHOLD
        row[0].imshow(example.image)
        row[1].imshow(draw_contours(example.image, example.truth, TRUTH_COLOUR))
        row[2].imshow(draw_contours(example.image, predicted, PREDICTION_COLOUR))
        row[3].imshow(draw_errors(example.image, example.truth, predicted))
        heat = row[4].imshow(example.probability, vmin=0, vmax=1, cmap="viridis")
        row[0].set_ylabel(example.title, fontsize=9)
    for axis, title in zip(axes[0], ("image", "truth", "prediction", "error", "probability"), strict=True):
        axis.set_title(title, fontsize=9)
    figure.colorbar(heat, ax=axes[:, 4].tolist(), shrink=0.7, label="probability of nucleus")
    handles = [Patch(color=np.array(colour) / 255, label=label) for label, colour in ERROR_COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def plot_attention(image: np.ndarray, maps: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw heat maps over an image, on one scale: a row for each network or region, a column for each layer or method.

    Args:
        image: `(H, W, 3)` uint8.
        maps: row title to {column title to `(H, W)` heat, 0 to 1}; every row has the same columns.
    """
    layers = list(next(iter(maps.values())))
    figure, axes = _panels(len(maps), len(layers) + 1, PANEL * (0.85 if len(layers) > 4 else 1.2))
    for row, (title, heats) in zip(axes, maps.items(), strict=True):
        row[0].imshow(image)
        row[0].set_ylabel(title, fontsize=9)
        for axis, layer in zip(row[1:], layers, strict=True):
            axis.imshow(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), cmap="gray")
            shown = axis.imshow(heats[layer], vmin=0, vmax=1, cmap="inferno", alpha=0.6)
    for axis, title in zip(axes[0], ("image", *layers), strict=True):
        axis.set_title(title.replace(", ", "\n"), fontsize=9)
    figure.colorbar(shown, ax=axes.ravel().tolist(), shrink=0.8, label="attention (largest = 1)")
    return figure


def plot_examination(examination: Examination) -> Figure:
    """Draw what a clinician is shown: image, nuclei (filled where sure, dashed where not), attention, and spread."""
    figure, axes = _panels(1, 4, PANEL * 1.5)
    shown, contours, attention, uncertainty = axes[0]
    shown.imshow(examination.image)
    contours.imshow(examination.image)
    colour = np.array(PREDICTION_COLOUR) / 255
    contours.imshow(np.dstack([np.broadcast_to(colour, (*examination.sure.shape, 3)), 0.45 * examination.sure]))
    for mask, style in ((examination.sure, "solid"), (examination.mask & ~examination.sure, "dashed")):
        if mask.any():
            contours.contour(mask, levels=[0.5], colors=[colour], linestyles=style, linewidths=1.2)
    attention.imshow(cv2.cvtColor(np.ascontiguousarray(examination.image), cv2.COLOR_RGB2GRAY), cmap="gray")
    heat = attention.imshow(examination.attention, vmin=0, vmax=1, cmap="inferno", alpha=0.6)
    spread = uncertainty.imshow(examination.spread, vmin=0, vmax=0.5, cmap="viridis")
    figure.colorbar(heat, ax=attention, shrink=0.6, label="attention (largest = 1)")
    figure.colorbar(spread, ax=uncertainty, shrink=0.6, label="spread of the probability")
    titles = ("image", "nuclei: sure filled, unsure dashed", f"attention: {examination.attention_name}", "spread")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=8)
    return figure


def _panels(rows: int, columns: int, side: float = PANEL) -> tuple[Figure, np.ndarray]:
    """Make a grid of pictures without ticks; room below for a legend."""
    size = (side * columns + 0.4, side * rows + 0.5)
    figure, axes = plt.subplots(rows, columns, figsize=size, dpi=DPI, layout="constrained", squeeze=False)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
    return figure, axes


def _rgb(colour: str) -> tuple[int, int, int]:
    return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))
