"""What is read: outlines drawn in Aperio ImageScope."""

from pathlib import Path

import numpy as np
from defusedxml import ElementTree

from helpers.data.outlines import FARTHEST_PIXEL
from helpers.errors import InputError


def parse_outlines(path: Path, data: bytes) -> list[np.ndarray]:
    """Parse the outlines of an Aperio ImageScope file, whatever layer they stand in.

    Args:
        path: names the file in messages.
        data: what it holds. A document type, by which entities could grow without end, is refused.

    Returns:
        for each `Region` its `Vertex` elements, `(n, 2)` float64, x and y in pixels.

    Raises:
        InputError: no XML, none of ImageScope's, or without outlines.
    """
    try:
        outlines = [
            # A region may have no vertex.
            np.array([(float(v.attrib["X"]), float(v.attrib["Y"])) for v in region.iter("Vertex")]).reshape(-1, 2)
            for region in ElementTree.fromstring(data, forbid_dtd=True).iter("Region")
        ]
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise InputError(
            f"{path}: found no outlines that can be read ({type(error).__name__}: {error}), "
            "expected ImageScope XML with X and Y for each Vertex; unpack the download again"
        ) from None
    if not outlines:
        raise InputError(f"{path}: found no Region, expected an outline for each nucleus; unpack the download again")
    if not (np.abs(np.concatenate(outlines)) < FARTHEST_PIXEL).all():  # so written that NaN is caught
        raise InputError(f"{path}: found a vertex far outside of any image, expected pixels; unpack the download again")
    return outlines
