"""A page about a slide: the picture with a scale bar, how dense its nuclei lie, and which kind is commonest where."""

import math

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from helpers.pictures.picture import Picture
from helpers.saving.colours import UNTOLD, kind_colour
from helpers.saving.overview import Overview

PANEL = 640  # pixels along the longer side of each of the three panels
NARROWEST = 260  # pixels for the text under one
MARGIN, LINE, LETTERS = 24, 32, 22  # pixels: around panels, from line to line of text, height of letters
COLOUR_BAR = 20  # pixels wide
BAR_SHARE = 0.3  # of `PANEL`: the scale bar is not longer
INK, PAPER = (40, 40, 40), (255, 255, 255)


def draw_overview(picture: Picture, overview: Overview) -> np.ndarray:
    """Draw the page.

    Args:
        picture: for the first panel; read once, shrunk.
        overview: its nuclei, all counted.

    Returns:
        `(h, w, 3)` uint8, RGB.
    """
    longest = max(picture.height, picture.width)
    size = tuple(max(1, round(PANEL * length / longest)) for length in (picture.width, picture.height))
    factor = 2 ** int(math.log2(max(1, longest / PANEL)))  # as the levels of slides are, or their full size is read
    tissue = cv2.resize(picture.shrink(factor), size, interpolation=cv2.INTER_AREA)
    densities = overview.densities()
    total = sum(densities.values(), np.zeros(1))
    top = _round_up(max(1.0, float(total.max())))
    shares = cv2.resize(np.clip(total / top, 0, 1), size, interpolation=cv2.INTER_LINEAR)
    width = max(size[0], NARROWEST) + MARGIN
    page = Image.new("RGB", (MARGIN + 3 * width + 120, size[1] + LINE * (4 + len(densities)) + MARGIN), PAPER)
    lefts = (MARGIN, MARGIN + width, MARGIN + 2 * width + 120)  # the colour bar's numbers stand beside the second
    panels = {
        "Picture": tissue,
        "Nuclei per mm2": _colour(shares),
        "Commonest kind": _paint_kinds(tissue, densities, shares),
    }
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(LETTERS)  # it has no micro sign and no raised 2
    for left, (title, panel) in zip(lefts, panels.items(), strict=True):
        pen.text((left, MARGIN + LINE - 8), title, INK, font, anchor="ls")
        page.paste(Image.fromarray(panel), (left, MARGIN + LINE))
    bottom = MARGIN + LINE + size[1]
    label, length = scale_bar(overview.um_per_px * longest / PANEL)
    pen.rectangle((lefts[0], bottom + LINE // 2, lefts[0] + length - 1, bottom + LINE // 2 + 5), INK)
    pen.text((lefts[0], bottom + LINE // 2 + LINE), label, INK, font, anchor="ls")
    _draw_colour_bar(page, font, lefts[1] + size[0] + 8, bottom, size[1], top)
    for line, (kind, count) in enumerate(overview.totals().items()):
        y = bottom + LINE // 2 + line * LINE
        pen.rectangle((lefts[2], y, lefts[2] + LETTERS - 1, y + LETTERS - 1), kind_colour(kind))
        pen.text((lefts[2] + LINE, y + LETTERS - 3), f"{kind or UNTOLD}: {count:,}", INK, font, anchor="ls")
    return np.asarray(page)


def scale_bar(um_per_px: float) -> tuple[str, int]:
    """Choose the length of a scale bar: a round one, at most `BAR_SHARE` of a panel.

    Args:
        um_per_px: scale of the panel.

    Returns:
        its label and its length in pixels of the panel.

    >>> scale_bar(1.0), scale_bar(30.0)
    (('100 um', 100), ('5 mm', 167))
    """
    um = _round_up(um_per_px * PANEL * BAR_SHARE, down=True)
    return f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} um", round(um / um_per_px)


def _round_up(value: float, down: bool = False) -> float:
    """Give the next 1, 2 or 5 times a power of ten, from `value` up or down."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = [step * power for step in (1, 2, 5, 10)]
    return max(step for step in steps if step <= value) if down else min(step for step in steps if step >= value)


def _colour(shares: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(
        cv2.applyColorMap(np.rint(shares * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB
    )


def _paint_kinds(tissue: np.ndarray, densities: dict[str, np.ndarray], shares: np.ndarray) -> np.ndarray:
    """Paint over the faded tissue, the denser the stronger, the kind that is the commonest."""
    faded = cv2.cvtColor(cv2.cvtColor(tissue, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB) // 2 + 127
    if not densities:
        return faded
    size = tissue.shape[1::-1]
    smooth = [cv2.resize(values, size, interpolation=cv2.INTER_LINEAR) for values in densities.values()]
    colours = np.array([kind_colour(kind) for kind in densities], np.float64)[np.argmax(smooth, axis=0)]
    strength = np.sqrt(shares)[..., None] * 0.9
    return np.rint(faded * (1 - strength) + colours * strength).astype(np.uint8)


def _draw_colour_bar(
    page: Image.Image, font: ImageFont.FreeTypeFont, left: int, bottom: int, height: int, top: float
) -> None:
    """Draw what the colours of the density mean, from 0 below to `top` above."""
    ramp = _colour(np.repeat(np.linspace(1, 0, height)[:, None], COLOUR_BAR, axis=1))
    page.paste(Image.fromarray(ramp), (left, bottom - height))
    pen = ImageDraw.Draw(page)
    if height >= 3 * LINE:
        for share, anchor in ((0, "ls"), (0.5, "lm"), (1, "lt")):
            place = left + COLOUR_BAR + 6, bottom - round(share * height)
            pen.text(place, f"{share * top:,g}", INK, font, anchor=anchor)
