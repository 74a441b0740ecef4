"""How large is a pixel? What a file says of it, if that can be a microscope's; what a person says; or an assumption."""

import math
import warnings
from collections.abc import Iterable
from typing import NamedTuple

from helpers.config import SCALES, TILE_UM_PER_PX
from helpers.errors import InputError, InputWarning
from helpers.pictures.picture import Picture
from helpers.preprocessing import check_scale

# Micrometres a pixel that a microscope or a slide scanner gives, its overviews included: from oil immersion at 160x to
# an objective of 1.25x. What printers and screens go by lies beyond: 72 dpi is 353, 300 dpi 85 and 2,400 dpi 10.6.
PLAUSIBLE = (0.04, 10.0)
SQUARE = 1.01  # the longer side of a pixel over the shorter; scanners that measure both differ by less


class Told(NamedTuple):
    """What a file says of the size of its pixels, in micrometres; NaN where it is no number, or has no unit."""

    x: float
    y: float
    source: str


def choose_scale(told: Iterable[Told]) -> tuple[float | None, str]:
    """Choose the first scale that can be a microscope's.

    Args:
        told: what the file says, the best source first.

    Returns:
        `um_per_px` and `scale_source` as `Picture` has them.

    >>> choose_scale([Told(352.8, 352.8, "TIFF resolution"), Told(0.25, 0.25, "ImageJ")])
    (0.25, '0.25 um/px (ImageJ)')
    >>> choose_scale([Told(352.8, 352.8, "TIFF resolution")])
    (None, '352.8 um/px (TIFF resolution)')
    """
    told = list(told)
    for x, y, source in told:
        if all(PLAUSIBLE[0] <= side <= PLAUSIBLE[1] for side in (x, y)):  # so written that NaN is none
            if max(x, y) > SQUARE * min(x, y):
                return math.nan, f"{x:.4g} x {y:.4g} um ({source})"
            mean = x if x == y else math.sqrt(x * y)  # which keeps the area
            return mean, f"{mean:.4g} um/px ({source})"
    return None, ", ".join(f"{_written(x)} um/px ({source})" for x, _, source in told)


def _written(number: float) -> str:
    return "no" if math.isnan(number) else f"{number:.4g}"


def resolve_scale(picture: Picture, given: float | str | None) -> float:
    """Give the scale to predict at: the one given, else the file's, else that of the tiles, with a warning.

    Args:
        picture: what `open_picture` gave.
        given: micrometres a pixel, a number or the text of one; None to go by the file.

    Returns:
        micrometres a pixel, within `config.SCALES`.

    Raises:
        InputError: the given scale is out of range, or the file's is a microscope's but is out of range or not square.
    """
    if given is not None:
        return check_scale(given)
    if picture.um_per_px is None:
        found = f"found {picture.scale_source}, no microscope's" if picture.scale_source else "found none"
        warnings.warn(
            f"{picture.name}: expected a scale, {found}: {TILE_UM_PER_PX} um/px (40x) is assumed, and sizes and "
            "results are wrong where that is; give um_per_px",
            InputWarning,
            stacklevel=2,
        )
        return TILE_UM_PER_PX
    if math.isnan(picture.um_per_px):
        raise InputError(
            f"{picture.name}: expected square pixels, found {picture.scale_source}; resample the picture, or give "
            "um_per_px where the file is wrong"
        )
    if not SCALES[0] <= picture.um_per_px <= SCALES[1]:
        raise InputError(
            f"{picture.name}: expected {SCALES[0]} to {SCALES[1]} um/px, at which nuclei can be told, found "
            f"{picture.scale_source}; take a picture at 0.25 to 0.5 um/px (40x to 20x), resample a finer one, or give "
            "um_per_px where the file is wrong"
        )
    return picture.um_per_px
