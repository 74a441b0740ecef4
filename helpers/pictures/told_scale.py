"""How large is a pixel? What a file says of it, if that can be a microscope's."""

import math
from collections.abc import Iterable
from typing import NamedTuple

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
    return None, ", ".join(f"{_written(x)} ({source})" for x, _, source in told)


def _written(number: float) -> str:
    return "no number" if math.isnan(number) else f"{number:.4g} um/px"
