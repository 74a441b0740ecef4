"""How all figures look: sizes, and one colour for each class everywhere."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from helpers.saving.colours import CLASS_COLOURS

DPI = 100
WIDE, HALF = (9.0, 3.2), (5.2, 3.4)  # inches: the two sizes of charts
TRAIN_COLOUR, VALIDATION_COLOUR, MARK_COLOUR = "#0072B2", "#D55E00", "#555555"
COLOURS = [TRAIN_COLOUR, VALIDATION_COLOUR, CLASS_COLOURS["Inflammatory"], CLASS_COLOURS["Epithelial"], MARK_COLOUR]


def subplots(rows: int, columns: int, size: tuple[float, float], **gridspec: object):
    """Make a figure of charts without frames on the right and above: figure and axes, as `plt.subplots` gives them."""
    figure, axes = plt.subplots(
        rows, columns, figsize=size, dpi=DPI, layout="constrained", gridspec_kw=gridspec or None
    )
    for each in np.ravel(axes):
        sns.despine(ax=each)
    return figure, axes
