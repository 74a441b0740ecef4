"""What is taken as a picture, and what is said of one that is odd."""

from collections.abc import Iterator

import cv2
import numpy as np

from helpers.errors import InputError, warn
from helpers.pictures.outside import find_outside
from helpers.pictures.picture import Picture, compose
from helpers.pictures.stain_check import doubt_stain
from helpers.pictures.survey import Tissue
from helpers.pictures.tissue_area import find_ink

MARKED = 0.002  # share of a picture from which ink is worth a warning; dust and pigment are less
WHOLE = 2048**2  # pixels; a larger picture is judged by windows
WINDOWS, WINDOW = 16, 256  # how many, and pixels a side


def check_array(image: np.ndarray) -> np.ndarray:
    """Give an array back that is a picture, `(H, W, 3)` or `(H, W, 4)` uint8; an InputError for anything else."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(
            f"image: expected an RGB array (H, W, 3) or RGBA (H, W, 4) of uint8, found {found}; convert it (times 255 "
            "from 0 to 1, divided by 257 from 16 bits; grey shows no stain; OpenCV gives None for a missing file)"
        )
    if image.size == 0:
        raise InputError(f"image: expected at least one pixel, found {image.shape}")
    return image


def warn_about(image: np.ndarray, name: str = "image") -> bool:
    """Warn once of what is no tissue in a picture, and once if its colours are not those of H&E.

    Args:
        image: `(H, W, 3)` or `(H, W, 4)` uint8.
        name: what messages call it.

    Returns:
        whether its colours are those of H&E, as far as can be told.
    """
    outside = find_outside(image)
    if outside.any():
        warn(
            f"{name}: {np.count_nonzero(outside):,} of {outside.size:,} pixels are black or transparent to the border: "
            "taken for no tissue, and never for nuclei"
        )
    if doubt := doubt_stain(compose(image), ~outside):
        warn(f"{name}: {doubt}")
    return not doubt


def warn_about_picture(picture: Picture, tissue: Tissue, um_per_px: float) -> None:
    """Warn once of each thing that is doubtful about a picture: no tissue, other colours than those of H&E, or ink.

    Of a large one, windows over the tissue are looked at. Where the colours are others, nothing is said of ink.
    """
    doubt, stained = "", True
    if not tissue.somewhere.any():
        doubt = "no tissue was found: it looks like empty glass"
    elif picture.height * picture.width <= WHOLE:
        stained = warn_about(picture.read(0, 0, picture.height, picture.width), picture.name)
    else:
        windows = np.concatenate(list(_windows(picture, tissue)))  # (n * WINDOW, WINDOW, 3)
        doubt = doubt_stain(windows, np.ones(windows.shape[:2], bool))
    if stained and not doubt:
        doubt = doubt_ink(tissue.small, um_per_px * tissue.factor)
    if doubt:
        warn(f"{picture.name}: {doubt}")


def doubt_ink(small: np.ndarray, um_per_px: float) -> str:
    """Say in a sentence that there are pen marks, or nothing where there are none. Arguments as of `find_ink`."""
    share = (find_ink(small, um_per_px) & ~find_outside(small)).mean()
    if share < MARKED:
        return ""
    return (
        f"{share:.1%} of the picture look like pen marks (or pigment): no tissue is counted there, and what is found "
        "there is not to be trusted"
    )


def _windows(picture: Picture, tissue: Tissue) -> Iterator[np.ndarray]:
    """Read windows of a large picture, `(WINDOW, WINDOW, 3)` uint8, evenly over where there is tissue."""
    cells = np.argwhere(tissue.somewhere)
    for row, column in cells[np.linspace(0, len(cells) - 1, WINDOWS).astype(int)] * tissue.factor:
        top, left = max(0, min(row, picture.height - WINDOW)), max(0, min(column, picture.width - WINDOW))
        window = compose(picture.read(int(top), int(left), min(WINDOW, picture.height), min(WINDOW, picture.width)))
        yield cv2.copyMakeBorder(window, 0, WINDOW - window.shape[0], 0, WINDOW - window.shape[1], cv2.BORDER_REPLICATE)
