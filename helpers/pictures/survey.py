"""Where on a picture it is worth looking, seen on a small copy of it, and how much tissue there is."""

from dataclasses import dataclass

import numpy as np

from helpers.pictures.picture import Picture
from helpers.pictures.tissue_area import find_tissue, may_hold_nuclei, overview_factor


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
