"""At which scale a picture is predicted: what a person says, what its file says, or an assumption."""

import math

from helpers.config import SCALES, TILE_UM_PER_PX
from helpers.errors import InputError, warn
from helpers.pictures.picture import Picture
from helpers.preprocessing import check_scale


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
        warn(
            f"{picture.name}: expected a scale, {found}: {TILE_UM_PER_PX} um/px (40x) is assumed, and sizes and "
            "results are wrong where that is; give um_per_px"
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
