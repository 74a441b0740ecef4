"""Where is tissue? Asked of a small copy of a picture, for two reasons that need two answers.

`may_hold_nuclei` decides what is looked at, and must lose no nucleus: all that differs from clean glass counts.
`find_tissue` gives the area by which nuclei are counted per mm2: stained, larger than dust, small gaps closed, no ink.

The limits come from the 1,577 training tiles, shrunk to 4 um a pixel, and nothing else.
"""

from functools import reduce

import cv2
import numpy as np
from skimage.filters import threshold_otsu

from helpers.pictures.picture import Picture

UM_PER_PX = 4.0  # of the small copy, at most: a nucleus is one to four of its pixels
SHORTEST = 64  # rows or columns that a small copy keeps, so that a tiny picture is not one pixel
MOST_PIXELS = 2**24  # of the small copy, 50 MB; a larger slide is shrunk once more
# Glass is bright and grey, and takes a share of the picture; without any, white is pure.
BRIGHT, COLOURLESS, SHARE = 200, 12, 0.002
# Levels of 255 by which a channel must lie below the glass to be looked at. Of the 48,311 marked areas of the tiles
# none is lost at 10 (2 at 8 um a pixel), 3 at 20, 10 at 30; the glass of scanners and JPEG vary by 3 or 4.
DIFFERS = 10
# Otsu's threshold on the optical density of all three colours together may lie here: a picture without glass would
# be cut in two. Clean glass has 0.03 or less; of the pixels of true nuclei 0.7 % come to lie outside.
DENSITIES = (0.08, 0.3)
CLOSED_UM, DUST_UM, INK_UM = 12.0, 6.0, 4.0  # radii of gaps that are closed, of specks that are no tissue or no ink
# Ink: red or blue absorbed more than green, by these shares of the whole, or dark and without colour. H&E takes most
# from green: red leads green by more on 10 tiles alone, all with blue ink; blue leads by 0.07 on 1 pixel of 10,000;
# 71 of 400,000 pixels are as black. Seven tiles are warned of, and show blue ink; on the others it is never.
RED_LEADS, BLUE_LEADS, INK_DENSITY = 0.05, 0.1, 0.3
BLACK_COLOUR, BLACK_DENSITY = 0.05, 1.2


def overview_factor(picture: Picture, um_per_px: float) -> int:
    """Choose by how much a picture is shrunk to find tissue: a power of two, as the levels of slides are.

    >>> from helpers.pictures.picture import ArrayPicture
    >>> [overview_factor(ArrayPicture(np.zeros((side, 2000, 3), np.uint8)), 0.25) for side in (10, 256, 2000)]
    [1, 4, 16]
    """
    factor = 1
    while 2 * factor * um_per_px <= UM_PER_PX and min(picture.height, picture.width) >= 2 * factor * SHORTEST:
        factor *= 2
    while picture.height * picture.width > MOST_PIXELS * factor**2:
        factor *= 2
    return factor


def may_hold_nuclei(small: np.ndarray, um_per_px: float) -> np.ndarray:
    """Find all that is not clean glass, and what lies within 4 um of it.

    Args:
        small: `(h, w, 3)` uint8, as `Picture.shrink` gives it.
        um_per_px: its scale.

    Returns:
        `(h, w)` bool; blocks without any need not be looked at.
    """
    small = _smooth(small, um_per_px)
    differs = np.zeros(small.shape[:2], np.uint8)
    for channel, glass in zip(cv2.split(small), _glass(small), strict=True):
        differs |= channel < glass - DIFFERS
    return cv2.dilate(differs, _disc(UM_PER_PX, um_per_px, differs.shape, square=True)) > 0


def find_tissue(small: np.ndarray, um_per_px: float) -> np.ndarray:
    """Find the area of tissue, as it is counted in mm2.

    Args:
        small: `(h, w, 3)` uint8, as `Picture.shrink` gives it.
        um_per_px: its scale.

    Returns:
        `(h, w)` bool; `.sum() * (um_per_px / 1000) ** 2` is its area in mm2.
    """
    densities = _densities(_smooth(small, um_per_px))
    total = cv2.transform(densities, np.ones((1, 3), np.float32))  # their sum, (h, w)
    threshold = np.clip(threshold_otsu(total), *DENSITIES) if np.ptp(total) > 0 else DENSITIES[0]
    ink = _ink(densities, um_per_px)
    stained = ((total > threshold) & ~ink).astype(np.uint8)
    closed = cv2.morphologyEx(stained, cv2.MORPH_CLOSE, _disc(CLOSED_UM, um_per_px, stained.shape))
    closed[ink] = 0
    return cv2.morphologyEx(closed, cv2.MORPH_OPEN, _disc(DUST_UM, um_per_px, stained.shape)) > 0


def find_ink(small: np.ndarray, um_per_px: float) -> np.ndarray:
    """Find blue, green and black ink, `(h, w)` bool; red ink looks like eosin. Arguments are those of `find_tissue`."""
    return _ink(_densities(_smooth(small, um_per_px)), um_per_px)


def _smooth(small: np.ndarray, um_per_px: float) -> np.ndarray:
    """Take the mean over squares of 4 um, so that all scales are judged alike."""
    side = max(1, round(UM_PER_PX / um_per_px))
    return cv2.blur(small, (side, side)) if side > 1 else small


def _glass(small: np.ndarray) -> np.ndarray:
    """Give the colour of glass `(3,)`: of the bright grey pixels, brighter than which a tenth of them are."""
    channels = cv2.split(small)
    darkest, brightest = (reduce(choose, channels) for choose in (np.minimum, np.maximum))
    grey = (darkest >= BRIGHT) & (brightest - darkest <= COLOURLESS)
    count = np.count_nonzero(grey)
    if count < max(1, SHARE * grey.size):
        return np.full(3, 255.0)
    return np.array([np.bincount(channel[grey]).cumsum().searchsorted(0.9 * count) for channel in channels], float)


def _densities(small: np.ndarray) -> np.ndarray:
    """Give the optical density `(h, w, 3)` float32 against the glass; brighter than it is 0."""
    table = np.log10((_glass(small) + 1) / (np.arange(256)[:, None] + 1.0))  # (256, 3)
    return cv2.LUT(small, np.maximum(table, 0).astype(np.float32)[None])


def _ink(densities: np.ndarray, um_per_px: float) -> np.ndarray:
    red, green, blue = cv2.split(densities)
    total = red + green + blue
    coloured = (red - green > RED_LEADS * total) | (blue - green > BLUE_LEADS * total)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    black = (spread < BLACK_COLOUR * total) & (total > BLACK_DENSITY)
    ink = ((coloured & (total > INK_DENSITY)) | black).astype(np.uint8)
    opened = cv2.morphologyEx(ink, cv2.MORPH_OPEN, _disc(INK_UM, um_per_px, ink.shape))
    return cv2.dilate(opened, _disc(DUST_UM, um_per_px, ink.shape)) > 0  # its edge mixes with glass


def _disc(radius_um: float, um_per_px: float, size: tuple[int, int], square: bool = False) -> np.ndarray:
    """Give the disc by which a mask of that height and width is closed or opened, without what reaches beyond it.

    On a strip of a few pixels all of the disc would take minutes, to the same result.
    """
    radius = max(1, round(radius_um / um_per_px))
    disc = cv2.getStructuringElement(cv2.MORPH_RECT if square else cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    rows, columns = (slice(max(0, radius + 1 - length), radius + length) for length in size)
    return disc[rows, columns]
