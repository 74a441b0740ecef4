"""Paths and numbers as people write them."""

import os
from numbers import Real
from pathlib import Path


def as_path(given: Path | str) -> Path:
    """Give a path with `~` as the home folder, which no shell does within quotes; an unknown user's stays as it is.

    >>> as_path("~/runs") == Path.home() / "runs"
    True
    """
    return Path(os.path.expanduser(given))


def to_number(value: object) -> float:
    """Read a number: Python's, NumPy's, an array of no dimension, or text; all else, truth values too, gives NaN.

    >>> to_number("0.2527"), to_number(1), to_number(True)
    (0.2527, 1.0, nan)
    """
    value = value.item() if getattr(value, "ndim", None) == 0 else value
    if isinstance(value, bool) or not isinstance(value, (Real, str)):
        return float("nan")
    try:
        return float(value)
    except (ValueError, OverflowError):
        return float("nan")
