"""Where on a picture it is worth looking, seen on a small copy of it, and how much tissue there is."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from helpers.errors import InputWarning
from helpers.pictures.checks import compose, warn_about
from helpers.pictures.picture import Picture
from helpers.pictures.stain_check import doubt_stain
from helpers.pictures.tissue import doubt_ink, find_tissue, may_hold_nuclei, overview_factor

WHOLE = 2048**2  # pixels; a larger picture is judged by windows
WINDOWS, WINDOW = 16, 256  # how many, and pixels a side


@dataclass(frozen=True)
class Tissue:
    """Where a picture holds tissue.

    Attributes:
        size: height and width of the picture, in pixels.
        factor: pixels a side that one of the small copy stands for.
        small: `(h, w, 3)` uint8, the small copy.
        somewhere: `(h, w)` bool, where there may be a nucleus: all but empty glass.
        mm2: area of the tissue, in mm2.
    """

    size: tuple[int, int]
    factor: int
    small: np.ndarray
    somewhere: np.ndarray
    mm2: float

    def reaches(self, top: int, left: int, bottom: int, right: int) -> bool:
        """Tell whether there is tissue in a rectangle of the picture, or within one pixel of the small copy beside."""
        rows = slice(max(0, top // self.factor - 1), -(-bottom // self.factor) + 1)
        columns = slice(max(0, left // self.factor - 1), -(-right // self.factor) + 1)
        return bool(self.somewhere[rows, columns].any())


def survey(picture: Picture, um_per_px: float) -> Tissue:
    """Find where a picture of a known scale (micrometres a pixel) holds tissue."""
    factor = overview_factor(picture, um_per_px)
    small = picture.shrink(factor)
    tissue = find_tissue(small, um_per_px * factor)
    mm2 = tissue.mean() * picture.height * picture.width * (um_per_px / 1000) ** 2
    return Tissue(
        (picture.height, picture.width), factor, small, may_hold_nuclei(small, um_per_px * factor), float(mm2)
    )


def warn_about_picture(picture: Picture, tissue: Tissue, um_per_px: float) -> None:
    """Warn once of each thing that is doubtful about a picture: no tissue, ink, other colours than those of H&E.

    Of a large one, windows over the tissue are looked at.
    """
    doubts = []
    if not tissue.somewhere.any():
        doubts = ["no tissue was found: it looks like empty glass"]
    elif picture.height * picture.width <= WHOLE:
        warn_about(picture.read(0, 0, picture.height, picture.width), picture.name, 4)
    else:
        windows = np.concatenate(list(_windows(picture, tissue)))  # (n * WINDOW, WINDOW, 3)
        doubts = [doubt_stain(windows, np.ones(windows.shape[:2], bool))]
    doubts.append(doubt_ink(tissue.small, um_per_px * tissue.factor))
    for doubt in filter(None, doubts):
        warnings.warn(f"{picture.name}: {doubt}", InputWarning, stacklevel=3)


def _windows(picture: Picture, tissue: Tissue) -> Iterator[np.ndarray]:
    """Read windows of a large picture, `(WINDOW, WINDOW, 3)` uint8, evenly over where there is tissue."""
    cells = np.argwhere(tissue.somewhere)
    for row, column in cells[np.linspace(0, len(cells) - 1, WINDOWS).astype(int)] * tissue.factor:
        top, left = max(0, min(row, picture.height - WINDOW)), max(0, min(column, picture.width - WINDOW))
        window = compose(picture.read(int(top), int(left), min(WINDOW, picture.height), min(WINDOW, picture.width)))
        yield cv2.copyMakeBorder(window, 0, WINDOW - window.shape[0], 0, WINDOW - window.shape[1], cv2.BORDER_REPLICATE)
