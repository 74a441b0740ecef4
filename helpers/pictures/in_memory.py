"""A picture as an array in memory, from a file or as it is given, with its scale."""

from pathlib import Path

import numpy as np

from helpers.errors import InputError
from helpers.pictures.checks import check_array, warn_about
from helpers.pictures.picture import WHOLE_PIXELS, ArrayPicture
from helpers.pictures.reading import open_picture
from helpers.pictures.scale import resolve_scale


def read_source(source: np.ndarray | Path | str, um_per_px: float | str | None) -> tuple[np.ndarray, float]:
    """Read a picture into memory, with its scale; arguments and errors as of `predict`.

    Returns:
        `(H, W, 3)` or `(H, W, 4)` uint8, and its scale in micrometres a pixel.
    """
    with open_picture(source) if isinstance(source, str | Path) else ArrayPicture(check_array(source)) as picture:
        um_per_px = resolve_scale(picture, um_per_px)
        if picture.height * picture.width > WHOLE_PIXELS:
            raise InputError(
                f"{picture.name}: expected up to {WHOLE_PIXELS:,} pixels, found {picture.height:,} rows of "
                f"{picture.width:,}; its arrays would fill the memory: give it to `helpers.predict_files` or "
                "`python -m helpers predict`"
            )
        image = picture.read(0, 0, picture.height, picture.width)
    warn_about(image, picture.name)
    return image, um_per_px
