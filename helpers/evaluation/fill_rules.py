"""Outlines of nuclei filled by three rules: what a score owes to the rule alone."""

import gzip
import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.draw

from helpers.data.outlines import FARTHEST_PIXEL, fill_outline
from helpers.errors import InputError, in_a_line
from helpers.paths import as_path

Outlines = dict[str, list[np.ndarray]]  # image to its nuclei, each (n, 2) float64, x and y in pixels from the corner


def read_outlines(path: Path, names: Sequence[str]) -> Outlines:
    """Read the outlines of images from JSON, `{image: [[[x, y], ...], ...]}`, plain or as `.gz`.

    Raises:
        InputError: there is no such file, it holds something else, or no outlines of one of the images `names`.
    """
    path = as_path(path)
    try:
        data = path.read_bytes()
        text = gzip.decompress(data) if path.suffix == ".gz" else data
        images = json.loads(text).items()
        outlines = {name: [np.array(one, float).reshape(-1, 2) for one in nuclei] for name, nuclei in images}
    except (OSError, EOFError, zlib.error, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: expected outlines as JSON, {{image: [[[x, y], ...], ...]}}, found none ({in_a_line(error)})"
        ) from None
    for name, nuclei in outlines.items():
        if not all((np.abs(one) < FARTHEST_PIXEL).all() for one in nuclei):  # so written that NaN is caught
            raise InputError(f"{path}: expected outlines in pixels, found another number in {name}; write it again")
    if missing := sorted(set(names) - outlines.keys()):
        raise InputError(
            f"{path}: expected outlines of the {len(names)} images that are scored, found none of {len(missing)}, "
            f"{missing[0]} among them; give the file of this data set (an image that could not be put together is "
            "called by its tile: see groups.npy and positions.npy)"
        )
    return outlines


def _fill_by_centres(mask: np.ndarray, outline: np.ndarray) -> None:
    fill_outline(mask, outline, 1)


def _fill_by_coordinates(mask: np.ndarray, outline: np.ndarray) -> None:
    mask[skimage.draw.polygon(outline[:, 1], outline[:, 0], mask.shape)] = 1


def _fill_with_border(mask: np.ndarray, outline: np.ndarray) -> None:
    cv2.fillPoly(mask, [np.rint(outline).astype(np.int32)], 1)


# The first is this project's own, and that of every score that names no other.
FILL_RULES: dict[str, Callable[[np.ndarray, np.ndarray], None]] = {
    "pixel centres inside": _fill_by_centres,
    "scikit-image's draw.polygon": _fill_by_coordinates,
    "OpenCV's fillPoly": _fill_with_border,
}


def fill_mask(outlines: list[np.ndarray], shape: tuple[int, int], rule: str) -> np.ndarray:
    """Fill the outlines of one image by one of `FILL_RULES`: `(H, W)` bool.

    >>> square = np.array([[1.0, 1.0], [3.0, 1.0], [3.0, 3.0], [1.0, 3.0]])
    >>> [int(fill_mask([square], (5, 5), rule).sum()) for rule in FILL_RULES]
    [4, 9, 9]
    """
    mask = np.zeros(shape, np.uint8)
    for outline in outlines:
        if len(outline):
            FILL_RULES[rule](mask, outline)
    return mask > 0
